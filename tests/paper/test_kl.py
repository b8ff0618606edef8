"""The paper's KL: two terms, each with a weight and free nats of its own, and how the world model counts them."""

import pytest
import torch
from toys import gradients, model_config, random_window

from dreamer_core.latents import CategoricalLatent, GaussianLatent
from dreamer_core.paper.kl import paper_kl
from dreamer_core.world_model import WorldModel

DOUBLE = torch.float64


def test_by_hand():
    """0.4 nats count as the free 1; 3 nats count as 3: 1 + 0.1, and 3 + 0.3."""
    kl = torch.tensor([0.4, 3.0])
    assert paper_kl(kl, kl).tolist() == pytest.approx([1.1, 3.3])
    assert paper_kl(kl, kl, free=0.0, dyn_scale=0.5, rep_scale=0.2).tolist() == pytest.approx([0.7 * 0.4, 0.7 * 3])


def test_each_row_is_clipped_alone():
    """A mean of 1.5 nats clipped at 1 would be 1.5; rows of 0 and 3 nats are 1 and 3."""
    kl = torch.tensor([0.0, 3.0])
    assert paper_kl(kl, kl, rep_scale=0.0).mean().item() == pytest.approx(2)


@pytest.mark.parametrize("kl, pulls", [(0.9, [0.0, 0.0]), (1.1, [0.5, 0.1])])
def test_below_the_free_nats_neither_term_pushes(kl, pulls):
    dyn, rep = (torch.tensor(kl, requires_grad=True) for _ in range(2))
    found = gradients(paper_kl(dyn, rep, 1.0, 0.5, 0.1), [dyn, rep])
    assert [pull.item() for pull in found] == pytest.approx(pulls), f"how a KL of {kl} nats pushes prior and posterior"


LATENTS = [GaussianLatent(2, 0.1), CategoricalLatent(2, 3, 0.01)]


@pytest.mark.parametrize("latent", LATENTS, ids=["gaussian", "categorical"])
def test_one_term_trains_the_prior_and_the_other_the_posterior(latent):
    """Gradients against differences of the KL itself, with the other side held."""
    posterior, prior = (torch.randn(latent.params, dtype=DOUBLE, requires_grad=True) for _ in range(2))
    dyn, rep = latent.both_kl(posterior, prior)
    found = gradients(paper_kl(dyn, rep, 0.0, 0.5, 0.1), [posterior, prior])

    def kl(change_posterior, change_prior):
        return latent.kl(posterior.detach() + change_posterior, prior.detach() + change_prior).item()

    step = 1e-5 * torch.eye(latent.params, dtype=DOUBLE)
    slopes = {
        "posterior": [(kl(one, 0) - kl(-one, 0)) / 2e-5 for one in step],
        "prior": [(kl(0, one) - kl(0, -one)) / 2e-5 for one in step],
    }
    for (name, slope), weight, pull in zip(slopes.items(), (0.1, 0.5), found):
        assert pull.tolist() == pytest.approx([weight * part for part in slope], rel=1e-5, abs=1e-8), f"how the KL pulls the {name}"


# --- in the world model ---------------------------------------------------------------------------


def losses(**changes):
    torch.manual_seed(1)
    model, window = WorldModel(model_config(**changes), 3, 2), random_window()
    torch.manual_seed(2)
    return model, window, model.loss(window)


def test_the_loss_holds_it_row_by_row_with_its_own_weights():
    settings = dict(kl="paper", kl_dyn=0.7, kl_rep=0.3, kl_free=0.75)
    model, _, (found, beliefs) = losses(**settings)
    dyn = model.rssm.latent.kl(beliefs.posterior, model.rssm.prior(beliefs.h))  # (B, T)
    assert (dyn < 0.75).any() and (dyn > 0.75).any(), "these rows do not show where the free nats end"
    by_hand = (0.7 + 0.3) * dyn.clamp(min=0.75).mean()
    torch.testing.assert_close(found["kl"], by_hand, msg=lambda told: f"the KL's part of the loss: {told}")
    total = sum(found[name] for name in ("observation", "reward", "continue", "kl"))
    torch.testing.assert_close(found["total"], total, msg=lambda told: f"the whole loss does not hold it as it is: {told}")


@pytest.mark.parametrize(
    "kind, others, own",
    [
        ("paper", dict(kl_scale=9.0, kl_balance=0.1, free_nats=7.0), dict(kl_dyn=2.0)),
        ("balanced", dict(kl_dyn=9.0, kl_rep=5.0, kl_free=7.0), dict(kl_scale=2.0)),
    ],
)
def test_the_settings_of_one_kind_say_nothing_to_the_other(kind, others, own):
    _, _, (plain, _) = losses(kl=kind, kl_free=0.0)
    _, _, (same, _) = losses(kl=kind, **{"kl_free": 0.0} | others)
    _, _, (other, _) = losses(kl=kind, **{"kl_free": 0.0} | own)
    assert torch.equal(plain["total"], same["total"]), f"{others} change the loss of kl = {kind}"
    assert not torch.equal(plain["total"], other["total"]), f"{own} does not change the loss of kl = {kind}"


@pytest.mark.parametrize("kept, left", [("kl_dyn", "kl_rep"), ("kl_rep", "kl_dyn")])
def test_kl_dyn_trains_the_prior_and_kl_rep_the_posterior(kept, left):
    model, _, (found, _) = losses(kl="paper", kl_free=0.0, **{kept: 1.0, left: 0.0})
    trained = {"kl_dyn": "prior", "kl_rep": "posterior_out"}
    moved = {setting: gradients(found["kl"], getattr(model.rssm, name).parameters())[0].any().item() for setting, name in trained.items()}
    assert moved == {kept: True, left: False}, f"with {kept} alone, what the KL pulls"


def test_a_posterior_within_the_free_nats_is_not_moved_by_the_kl():
    """With 1,000 free nats neither prior nor posterior hears of the KL."""
    model, _, (found, _) = losses(kl="paper", kl_free=1000.0)
    pulls = gradients(found["kl"], model.parameters()) if found["kl"].requires_grad else []
    assert not any(pull.any() for pull in pulls), "a KL below its free nats moves a weight"
