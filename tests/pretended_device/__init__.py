"""GPUs and Macs that are not there: tensors that say they are on one, compute on the CPU, and refuse what it would."""
