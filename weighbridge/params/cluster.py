"""Where stages run, if not here: `cluster` in `params.yaml`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from weighbridge.params.section import PARAMS, Count, Section, check


class Cluster(Section):
    """A Ray cluster, asked where `executor` is `ray`; `RAY_ADDRESS` says where it is.

    Attributes:
        store: a folder that this machine and all nodes reach, as fsspec names it: `s3://bucket/folder`, `file:///shared/folder`.
        nodes: `alike`: only those like most of them; `any`: also others infer, and their runs record in what they differ.
        gpus: that each stage gets.
        shards: parts into which the samples of `infer` are shared out, whole batches each; a small set has fewer.
    """

    store: str | None = None
    nodes: Literal["alike", "any"] = "alike"
    gpus: Annotated[int, Field(ge=0)] = 0
    shards: Count = 1


def cluster_of(params: Mapping[str, Any]) -> Cluster | None:
    """The cluster on which the job of this params file runs; None where it runs on this machine."""
    return check(Cluster, params.get("cluster", {}), PARAMS, "cluster") if params.get("executor") == "ray" else None
