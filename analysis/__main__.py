"""`python -m analysis`: which commands there are."""

print("""python -m analysis.report RESULTS             one page to explore, with tables and figures
python -m analysis.compare RESULTS RESULTS    two studies, or two trials, side by side
python -m analysis.reprobe RESULTS            other probes on the same encodings, without training
python -m analysis.publish RESULTS            a small copy that others can check
python -m analysis.verify FOLDER              whether all of such a copy follows from its records
python -m study                               what runs studies

In Python: import analysis; study = analysis.load("results/paper_grid")""")
