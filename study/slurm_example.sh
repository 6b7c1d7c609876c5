#!/bin/bash
# A study as a SLURM job: Ray on all of the job's nodes, the study on the first.
#
#   sbatch study/slurm_example.sh paper_grid --seeds 5
#
# Submit it from the repository, on a file system that all nodes share, after one `uv sync` on the login node; results/
# and the storage are there as well. Where compute nodes have no internet, fetch the data set on the login node, to
# ~/.cache/tivae: `uv run python -c 'from tivae.data.loading import load; load()'`. A job that is pre-empted, or ends
# with its time limit, is queued again and goes on from the last epoch of each trial; `scancel` ends it for good, and
# the same command continues. Change the lines below to what your cluster has; whole nodes are asked for, all with as
# many CPUs, as Ray stops all of its processes of yours on them at the end.

#SBATCH --job-name=tivae
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out
#SBATCH --signal=B:USR1@120
##SBATCH --gpus-per-node=4

set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
export PATH="$PWD/.venv/bin:$PATH"

# Nobody but this job's processes may use its Ray: each job has a token of its own.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/.ray/slurm-$SLURM_JOB_ID"
(umask 077 && mkdir -p "$HOME/.ray" && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$RAY_AUTH_TOKEN_PATH")
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT

# Nodes start minutes apart; by default they wait for each other for half a minute.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600
read -r head < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
port=$((20000 + SLURM_JOB_ID % 10000))

srun --kill-on-bad-exit=1 ray symmetric-run --address "$head:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_ON_NODE" --disable-usage-stats \
    -- python -m study.run "$@" --address "$head:$port" &

# Two minutes before the time limit SLURM sends USR1 to this script, which hands the job back to the queue.
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1
# A signal ends `wait`, not what it waits for.
while code=0 && wait $! || code=$? && ((code > 128)) && kill -0 $! 2>/dev/null; do :; done
# Pre-emption first ends the step: what the study did not end itself (0, 1, 2) goes back to the queue, but for `scancel`.
if ((code > 2)) && [ "$(squeue -h -j "$SLURM_JOB_ID" -o %T)" = RUNNING ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
