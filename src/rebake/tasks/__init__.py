"""Room `tasks`: the Invoke tasks, one file a noun. `namespace` is the collection of all of them."""

from __future__ import annotations

import gc

from invoke.collection import Collection

from rebake.tasks import (
    benchmark,
    build,
    caches,
    config,
    engine,
    history,
    queries,
    report,
    scaffold,
    sign,
    stack,
    why,
)

# What is loaded now stays to the end, and most of what a task loads besides: look for garbage less
# often than every 700 objects.
gc.freeze()
gc.set_threshold(10_000, 20, 20)

namespace = Collection(
    stack.dev,
    stack.prod,
    stack.up,
    stack.down,
    stack.logs,
    stack.ps,
    build.build,
    build.rebuild,
    caches.warm_cache,
    caches.refresh_cache,
    benchmark.benchmark,
    benchmark.workflow_test,
    engine.engine,
    engine.base_images,
    queries.sqlx_prepare,
    config.config,
    config.doctor,
    config.completion,
    report.report,
    why.why,
    history.history,
    sign.sign,
    sign.verify,
    sign.sbom,
    scaffold.new,
    scaffold.adopt,
    scaffold.update,
    scaffold.add_service,
)

__all__ = ["namespace"]
