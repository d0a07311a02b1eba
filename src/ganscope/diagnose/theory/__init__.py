"""What follows from one measurement: predicted wander, what-ifs, advice, the verdict and how often it was right."""
