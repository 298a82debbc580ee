from __future__ import annotations

import json

from eng.visualization import Visualizer


class OfALibrary(Visualizer):
    """Overrides with the reference's signatures."""

    def add_scalars(self, scalar_dict, step=0, file_path=None):
        self.seen = getattr(self, "seen", [])
        self.seen.append((dict(scalar_dict), step, file_path))
        super().add_scalars(scalar_dict, step, file_path)

    def add_image(self, name, image, step=0):
        super().add_image(name, image, step)


def test_a_visualizer_with_the_references_signature_gets_the_scalars_of_a_run(make_runner, parts, tmp_path) -> None:
    visualizer = OfALibrary("of a library", vis_backends=[dict(type="LocalVisBackend")], save_dir=str(tmp_path / "vis"))
    runner = make_runner(
        visualizer=visualizer,
        default_hooks=dict(logger=dict(type="LoggerHook", interval=2)),
        **parts.validation(acc=[1]),
    )
    runner.train()
    assert [step for values, step, _ in visualizer.seen if "loss" in values] == [2, 4, 6, 8]
    lines = [json.loads(line) for line in visualizer.scalar_file.read_text().splitlines()]
    assert [(line["axis"], line["step"]) for line in lines] == [
        ("iter", 2), ("iter", 4), ("epoch", 1), ("iter", 6), ("iter", 8), ("epoch", 2),
    ]  # fmt: skip
