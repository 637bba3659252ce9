"""Run the notebooks headlessly and report what happened."""
