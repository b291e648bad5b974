"""One module per tool, each with its `ADAPTER`; what they share is in `cxreport.sources`."""
