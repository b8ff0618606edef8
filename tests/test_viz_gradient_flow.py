"""Gradient flow: exact zeros where SPEC says there is no path, finite differences where there is one."""

import numpy as np
import pytest
import torch
from figures import assert_readable
from toys import model_config, random_window

from dreamer_core.replay import Window
from dreamer_core.viz.gradient_flow import gradient_flow, gradient_flow_figure, paths, paths_figure, row_losses, unroll, without_seams
from dreamer_core.world_model import WorldModel

T = 6
LATER = np.tri(T, k=-1, dtype=bool)  # [t, s] with s < t: a later loss, an earlier row


def make(dtype=torch.float32, **changes):
    return WorldModel(model_config(**changes), 3, 2).to(dtype)


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
@pytest.mark.parametrize("cut", [True, False])
def test_the_unroll_is_the_models_own(kind, cut):
    model, window = make(latent=kind, detach_z=cut), random_window(firsts=[(0, 0), (1, 3)])
    noise = model.rssm.latent.noise(4, T)
    ours, theirs = unroll(model, window, cut, noise).beliefs, model.observe(window, noise)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b)


def test_the_losses_of_all_rows_make_the_models_loss():
    model = make(free_nats=0.3, reward_scale=2.0, reward_std=0.0)
    window = random_window(firsts=[(0, 0), (1, 3)], terminals=[(1, 2)])
    noise = model.rssm.latent.noise(4, T)
    losses, beliefs = model.loss(window, noise)
    rows = row_losses(model, window, beliefs)
    assert rows.shape == (1, T), "one number for each row"
    torch.testing.assert_close(rows.mean(), losses["total"])
    other = row_losses(model, window._replace(reward=window.reward + torch.eye(T)[2]), beliefs)
    assert (other != rows)[0].tolist() == [t == 2 for t in range(T)], "rows whose loss hears of another reward in row 2"


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_with_z_cut_a_loss_reaches_its_own_rows_z_and_encoder_and_no_other(kind):
    flow = gradient_flow(make(latent=kind), random_window(), cut=True)
    for part in (flow.z, flow.encoder):
        assert (part[~np.eye(T, dtype=bool)] == 0).all() and (np.diag(part) > 0).all()
    assert (flow.h[np.tri(T, dtype=bool)] > 0).all()


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_without_the_cut_it_reaches_every_earlier_row(kind):
    flow = gradient_flow(make(latent=kind), random_window(), cut=False)
    for part in flow:
        assert (part[np.tri(T, dtype=bool)] > 0).all()


@pytest.mark.parametrize("cut", [True, False])
def test_no_loss_reaches_into_the_future(cut):
    for part in gradient_flow(make(), random_window(), cut):
        assert (part[LATER.T] == 0).all()


def test_an_episodes_start_cuts_everything():
    flow = gradient_flow(make(), random_window(firsts=[(b, 3) for b in range(4)]), cut=False)
    for part in flow:
        assert (part[3:, :3] == 0).all() and (part[2, :3] > 0).all() and (part[5, 3:] > 0).all()


def test_the_norms_agree_with_finite_differences():
    """d loss_t / d h_1 by nudging the state that a window starts from, in double precision.

    Without the KL, whose stopped gradients a difference does not know of.
    """
    model = make(torch.float64, kl_scale=0.0)
    window = random_window(batch=2, dtype=torch.float64)
    noise = torch.randn(2, T, 3, dtype=torch.float64)
    flow = gradient_flow(model, window, cut=False, noise=noise)

    @torch.no_grad()
    def losses(h):
        """Of each window alone: (B, T)."""
        states = [unroll(model, Window(*(part[b : b + 1] for part in window._replace(h=h))), False, noise[b : b + 1]) for b in (0, 1)]
        return torch.cat([row_losses(model, Window(*(part[b : b + 1] for part in window)), states[b].beliefs) for b in (0, 1)])

    slopes = torch.stack([(losses(window.h + e) - losses(window.h - e)) / 2e-5 for e in 1e-5 * torch.eye(6, dtype=torch.float64)], -1)
    assert np.allclose(flow.h[:, 0], slopes.norm(dim=-1).mean(0), rtol=1e-4), "norms that differ from those of finite differences"


def test_measuring_leaves_the_model_alone():
    model, window = make(), random_window()
    gradient_flow(model, window, cut=False)
    assert all(parameter.grad is None for parameter in model.parameters()) and not window.h.requires_grad


def test_windows_with_a_seam_are_dropped():
    window = random_window(firsts=[(0, 0), (1, 3), (2, 5)])
    kept = without_seams(window)
    assert torch.equal(kept.observation, window.observation[[0, 3]]) and torch.equal(kept.h, window.h[[0, 3]])
    with pytest.raises(ValueError, match="crosses an episode's start"):
        gradient_flow(make(), without_seams(random_window(batch=1, firsts=[(0, 2)])), cut=True)


def test_the_figure():
    model, window = make(), random_window()
    flows = {"cut": gradient_flow(model, window, True), "not cut": gradient_flow(model, window, False)}
    figure = gradient_flow_figure(flows, "flow")
    assert "cut: the loss of the last row reaches 6 rows of h, 1 rows of z, 1 rows of the encoder" in figure.alt
    assert_readable(figure)
    assert_readable(gradient_flow_figure({"cut": flows["cut"]}))


@pytest.mark.parametrize("cut", [True, False])
def test_the_drawn_paths_are_the_measured_ones(cut):
    """A node is red in the drawing exactly if autograd finds a gradient of the last row's loss there."""
    flow = gradient_flow(make(), random_window(), cut)
    red = {(a, t) for (a, t, _, _), reached in paths(T, cut).items() if reached}
    for kind, part in zip("hze", flow):
        assert [(kind, t) in red for t in range(T)] == list(part[-1] > 0)


def test_the_paths_can_be_drawn():
    figure = paths_figure()
    assert "with the cut it reaches 4 of 4 h and 1 of 4 encoder outputs; without the cut it reaches 4 of 4 h and 4 of 4" in figure.alt
    assert_readable(figure)
