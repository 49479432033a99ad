"""Sums over the processes of torch.distributed."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist

from .._engine.partial import Partial


def all_reduce(partial: Partial, group: Any = None) -> Partial:
    """The sum of the partials of all processes, exact and with the same bits in each of them.

    Every process of the group must call this function. So the mean over all pixels is right even if the processes
    have different numbers of pixels that count.

    Parameters
    ----------
    partial : Partial
        The partial of this process's samples: `loss.partial(input, target)`.
    group : ProcessGroup, default None
        The processes. None: all processes.

    Returns
    -------
    Partial
        The partial of the samples of all processes. `loss.finalize` returns its value, and `loss.gradient` the gradient
        with respect to this process's samples.

    Raises
    ------
    TypeError
        If `partial` is not a Partial.
    ValueError
        If the processes have partials of different losses or numbers of classes, or torch.distributed is not
        initialised.

    See Also
    --------
    wrap : Its `group` makes a module that does this in each call.

    Examples
    --------
    >>> import fastloss as fl, fastloss.torch as ft, torch.distributed as dist
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> loss = fl.CrossEntropyLoss()
    >>> loss.finalize(ft.all_reduce(loss.partial([[2.0, 0.0]], [0])))
    0.126928011
    >>> dist.destroy_process_group()
    """
    if not isinstance(partial, Partial):
        raise TypeError(f"partial: expected a Partial, got {type(partial).__name__}")
    gathered: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(gathered, partial, group=group)
    return Partial.sum(gathered)
