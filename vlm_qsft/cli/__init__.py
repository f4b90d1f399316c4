"""The command line: `qsft demo | record | train | evaluate | inspect | bench | doctor`."""
