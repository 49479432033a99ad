"""How a loss or a metric works: formulas over sums, the methods of every loss, weighted sums, partials that merge.

    exact_sum.py    float64 sums that do not depend on order or grouping
    partial.py      Partial, the mergeable sums of some samples
    measure.py      what losses and metrics share, and all that reports know of them
    formula.py      the hooks that define a loss, and the passes over a batch that follow from them
    merged.py       value, gradient and partial of a batch, and the gradient from a partial
    hessian.py      the diagonal of the Hessian, or an upper bound
    loss.py         Loss, with its calls, sums and products; Composed, the weighted sum
    sums.py         losses that are the weighted sum of one kernel's values
    region.py       losses that are a formula over the sums of regions
    multi_input.py  weighted sums of losses, each with its own inputs
    metric.py       Metric, with its calls, and Tally, which counts for it
    confusion.py    metrics of counted classes
    passes.py       many losses and metrics in few passes over the data
    functions.py    the registry of the functions, and their cache of losses

The catalogue is losses/. Nothing here knows which backend computes.
"""
