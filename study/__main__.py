"""`python -m study`: the commands of this package."""

print("""python -m study.run SPACE        run a search space (--list: which there are)
python -m study.status RESULTS   progress of a study (--serve: its page, live)
python -m analysis               what reads results

Each has --help.""")
