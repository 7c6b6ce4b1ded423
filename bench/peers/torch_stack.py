"""PyTorch in one process: the rows of a tensor summed, the sum written to every row."""

from bench.measuring import repeated
from bench.peers.protocol import Rows, may_be_missing, tell

with may_be_missing("torch"):
    import torch

if __name__ == "__main__":
    rows = Rows.of_command_line()
    parts = [torch.from_numpy(row) for row in rows.filled()]
    out = torch.empty((rows.ranks, rows.row_bytes // 4), dtype=torch.float32)

    def work() -> None:
        out.copy_(torch.stack(parts).sum(0).expand_as(out))

    work()
    assert rows.data.wrong(out.numpy()) == 0
    tell(
        repeated(work, rows.repeats),
        f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads: "
        "out.copy_(torch.stack(parts).sum(0).expand_as(out))",
    )
