"""The command line: parse, call the service or a verb, print. stdout is data, stderr is talk."""
