"""From a config, or an object that is used as it is, to a part of a run; every input is an argument."""
