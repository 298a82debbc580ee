"""What the records of a run cost: its passport at the start."""

from __future__ import annotations

import textwrap

from test_runner_loop import printed

# The first passport of a process, with the revision and the changes of the repository that holds the config.
PASSPORT = textwrap.dedent(
    """
    import json, tempfile, time
    import torch
    from eng.model import BaseModel
    from eng.runner import Runner, runner as module

    class Line(BaseModel):
        def __init__(self):
            super().__init__()
            self.fit = torch.nn.Linear(1, 1)
        def forward(self, x, y, mode="tensor"):
            return {"loss": (self.fit(x) - y).square().mean()}

    times = []
    write = module.write_passport
    def timed(runner):
        start = time.perf_counter()
        write(runner)
        times.append(time.perf_counter() - start)
    module.write_passport = timed

    x = torch.linspace(0, 1, 8)[:, None]
    data = torch.utils.data.TensorDataset(x, 3 * x)
    cfg = dict(
        model=Line(), work_dir=tempfile.mkdtemp(), train_dataloader=torch.utils.data.DataLoader(data),
        train_cfg=dict(max_epochs=1), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)), log_level="ERROR",
    )
    Runner(**cfg).train()
    print(json.dumps(times[0]))
    """
)


def test_the_passport_of_a_start(versus):
    best = min(printed(PASSPORT) for _ in range(3))
    versus.report("the passport of a start", f"{best * 1e3:.0f} ms", "<= 50 ms", "the best of 3 processes")
