"""`python -m analysis`: the commands of this package."""

print("""python -m analysis.report RESULTS                   a page to explore
python -m analysis.compare RESULTS RESULTS          two studies or two trials
python -m analysis.publish RESULTS --command "..."  a copy for others
python -m analysis.verify FOLDER                    checks such a copy
python -m study                                     what runs studies

Each has --help. In Python:
  import analysis; study = analysis.load("results/paper_grid")""")
