"""`python -m analysis`: the commands of this package."""

print("""python -m analysis.report RESULTS                    the report: a page to explore
python -m analysis.compare RESULTS RESULTS           two studies or trials side by side
python -m analysis.publish RESULTS --command "..."   a small copy that others can check
python -m analysis.verify FOLDER                     checks a published copy
python -m study                                      what runs studies

Each has --help. In Python:
  import analysis; study = analysis.load("results/paper_grid")""")
