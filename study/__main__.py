"""`python -m study`: which commands there are."""

print("""python -m study.run SPACE          runs a search space; --help for its options, --list for the spaces
python -m study.status RESULTS     where a study stands; --serve shows its page, live
python -m analysis                 what reads the results""")
