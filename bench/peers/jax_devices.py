"""JAX with a host device for each rank: psum over sharded rows."""

import os

from bench.measuring import repeated
from bench.peers.protocol import Rows, may_be_missing, tell

rows = Rows.of_command_line()
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={rows.ranks}"
os.environ["JAX_PLATFORMS"] = "cpu"

with may_be_missing("jax"):
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

if __name__ == "__main__":
    import numpy as np

    mesh = Mesh(np.array(jax.devices()), ("rank",))
    spec = PartitionSpec("rank")
    x = jax.device_put(rows.filled(), NamedSharding(mesh, spec))
    all_reduce = jax.jit(
        jax.shard_map(
            lambda row: jax.lax.psum(row, "rank"),
            mesh=mesh,
            in_specs=spec,
            out_specs=spec,
            check_vma=False,
        )
    )

    def work() -> None:
        all_reduce(x).block_until_ready()

    assert rows.data.wrong(np.asarray(all_reduce(x))) == 0
    tell(
        repeated(work, rows.repeats),
        f"JAX {jax.__version__}, {len(jax.devices())} host devices: jit(shard_map(psum)), not in "
        "place",
    )
