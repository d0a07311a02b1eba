"""Phase diagrams: a game measured over a grid of parameters, and the curves on which its outcome changes.

sweep.py        the verb: open or create the store, start whoever works, finish
axes, plan      what varies, over which values; what is measured in every cell
measures        measuring a block of cells: one batch call per group, errors cell by cell
tiles           how a grid is cut into pieces of work
store           the results and the ledger on disk; opening (may it be gone on with?), growth, lock
execution/      the driver's loop, and whoever carries out tasks: this process, a crew of processes, a cluster
theory          what theory says about a sweep that was only simulated
boundary/       boundaries by refinement and by continuation; branches of equilibria
agreement/      the diagrams on which theory and simulation are confronted
"""
