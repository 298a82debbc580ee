from __future__ import annotations

import pytest
import torch

from eng.optim import OptimWrapper, ReduceOnPlateauLR, ReduceOnPlateauMomentum


class TestPlateau:
    @pytest.mark.parametrize(
        "settings",
        [
            {"factor": 0.5, "patience": 1},
            {"factor": 0.5, "patience": 0, "threshold_rule": "abs", "threshold": 0.05},
            {"factor": 0.1, "patience": 1, "cooldown": 2},
            {"factor": 0.1, "patience": 0, "min_value": [0.05, 0.001]},
            {"factor": 0.5, "patience": 1, "rule": "greater"},
            {"factor": 0.5, "patience": 1, "rule": "greater", "threshold_rule": "abs"},
        ],
    )
    def test_equals_torch(self, settings):
        def groups():
            return [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in (0.1, 0.02)]

        ours, theirs = torch.optim.SGD(groups(), lr=0.1), torch.optim.SGD(groups(), lr=0.1)
        scheduler = ReduceOnPlateauLR(ours, **settings)
        rename = {"rule": "mode", "threshold_rule": "threshold_mode", "min_value": "min_lr"}
        words = {"less": "min", "greater": "max"}
        bare = torch.optim.lr_scheduler.ReduceLROnPlateau(
            theirs, **{rename.get(k, k): words.get(v, v) if isinstance(v, str) else v for k, v in settings.items()}
        )
        for metric in [1.0, 0.9, 0.91, 0.9, 0.89, 0.89, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76]:
            scheduler.step({"loss": metric})
            bare.step(metric)
            found = [group["lr"] for group in ours.param_groups]
            assert found == pytest.approx([group["lr"] for group in theirs.param_groups])

    def test_losses_may_be_huge(self, sgd):
        scheduler = ReduceOnPlateauLR(sgd, patience=0, factor=0.5)
        scheduler.step({"loss": 1e12})
        assert sgd.param_groups[0]["lr"] == 0.1

    def test_momentum_flavour_and_tensor_metric(self, sgd):
        scheduler = ReduceOnPlateauMomentum(sgd, monitor="acc", rule="greater", patience=0, factor=0.5)
        for metric in (0.5, 0.4):
            scheduler.step({"acc": torch.tensor(metric)})
        assert sgd.param_groups[0]["momentum"] == 0.45

    def test_state_is_plain(self, sgd):
        scheduler = ReduceOnPlateauLR(sgd, patience=3)
        scheduler.step({"loss": 2.0})
        scheduler.step({"loss": 3.0})
        other = ReduceOnPlateauLR(sgd)
        other.load_state_dict(scheduler.state_dict())
        assert (other.best, other.num_bad_epochs, other.patience) == (2.0, 1, 3)

    def test_a_metric_that_is_not_there(self, sgd):
        with pytest.raises(KeyError, match=r"monitors 'loss'.*there are: acc"):
            ReduceOnPlateauLR(sgd).step({"acc": 1.0})
        with pytest.raises(TypeError, match="takes metrics by name, not float"):
            ReduceOnPlateauLR(sgd).step(0.5)

    def test_without_metrics_it_only_counts(self, sgd):
        scheduler = ReduceOnPlateauLR(sgd)
        scheduler.step()
        assert scheduler._global_step == 1

    def test_with_a_wrapper_the_base_settings_have_a_lowest_value_too(self, sgd):
        scheduler = ReduceOnPlateauLR(OptimWrapper(sgd), min_value=[0.01, 0.002])
        assert scheduler.min_values == [0.01, 0.002, 0.002]
