"""The PyTorch modules as parts of programs: graphs, copies, threads, other dtypes."""

from __future__ import annotations

import copy
import io
import multiprocessing
import warnings

import pytest
import torch
import unrolled.torch
from torch import nn
from torch_pairs import CLASSES, OPTIONS, B, E, H, T, compare, pair


def test_names_shapes_and_order_of_parameters_and_their_draws():
    for cell, more in CLASSES:
        for options in OPTIONS:
            stock, ours = pair(cell, E, H, **more, **options)
            assert [name for name, _ in stock.named_parameters()] == [
                name for name, _ in ours.named_parameters()
            ]
            for expected, found in zip(stock.parameters(), ours.parameters()):
                assert torch.equal(expected, found)
            assert repr(stock) == repr(ours)
            assert isinstance(ours, getattr(nn, cell))


def test_one_module_twice_in_a_graph():
    stock, ours = pair("LSTM", E, E)

    def run(module, x):
        first, state = module(x)
        second, _ = module(first.flip(0), state)
        third, _ = module(second + x)
        return first, second, third

    compare(stock, ours, run, [torch.randn(T, B, E)], 5e-5)
    assert len(ours._unrolled.free) == 3


def test_a_graph_that_is_dropped_gives_its_network_back():
    ours = unrolled.torch.LSTM(E, H)
    y, _ = ours(torch.randn(T, B, E))
    assert not ours._unrolled.free
    del y, _
    assert len(ours._unrolled.free) == 1


def test_a_graph_that_is_used_twice():
    stock, ours = pair("GRU", E, H)
    grads = []
    for module in (stock, ours):
        torch.manual_seed(2)
        x = torch.randn(T, B, E, requires_grad=True)
        y, _ = module(x)
        y.sum().backward(retain_graph=True)
        y.square().sum().backward()
        grads.append([x.grad] + [p.grad for p in module.parameters()])
    torch.testing.assert_close(*grads, rtol=2e-5, atol=2e-5)


def test_gradients_of_some_parts_only():
    stock, ours = pair("LSTM", E, H)
    for module in (stock, ours):
        module.weight_hh_l0.requires_grad_(False)
        y, (h, c) = module(torch.ones(T, B, E))
        c.sum().backward()  # y and h are not used
        assert module.weight_hh_l0.grad is None
    torch.testing.assert_close(
        ours.weight_ih_l0.grad, stock.weight_ih_l0.grad, rtol=2e-5, atol=2e-5
    )


def test_a_parameter_that_changes_before_the_backward_pass_is_an_error():
    ours = unrolled.torch.LSTM(E, H)
    y, _ = ours(torch.randn(T, B, E))
    with torch.no_grad():
        ours.weight_ih_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_second_derivatives_are_an_error():
    ours = unrolled.torch.LSTM(E, H)
    x = torch.randn(T, B, E, requires_grad=True)
    with pytest.raises(RuntimeError, match="no second derivatives; use torch.nn.LSTM"):
        torch.autograd.grad(ours(x)[0].sum(), x, create_graph=True)


@pytest.mark.parametrize("mode", (torch.no_grad, torch.inference_mode))
def test_inference_keeps_nothing(mode):
    stock, ours = pair("LSTM", E, H, num_layers=2)
    x = torch.randn(T, B, E)
    with mode():
        y, (h, c) = ours(x)
        expected, _ = stock(x)
    assert not y.requires_grad and y.grad_fn is None
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    assert len(ours._unrolled.free) == 1
    # The same bits as with a graph.
    assert torch.equal(y, ours(x)[0])


def test_training_changes_the_results_as_in_torch():
    models = []
    for factory in (nn.LSTM, unrolled.torch.LSTM):
        torch.manual_seed(1)
        rnn, head = factory(E, H, num_layers=2), nn.Linear(H, 2)
        optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=1e-2)
        torch.manual_seed(2)
        x, target = torch.randn(T, B, E), torch.randn(T, B, 2)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = (head(rnn(x)[0]) - target).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        models.append(losses)
    assert models[0] == pytest.approx(models[1], rel=1e-4)
    assert models[1][-1] < models[1][0]


def test_changes_through_data_are_seen_after_a_backward_pass_and_when_all_values_change():
    stock, ours = pair("LSTM", E, H)
    x = torch.randn(T, B, E)
    for module in (stock, ours):
        module(x)[0].sum().backward()
        for parameter in module.parameters():
            parameter.data.add_(parameter.grad.data, alpha=-0.1)
    torch.testing.assert_close(ours(x)[0], stock(x)[0], rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        before = ours(x)[0]
        for module in (stock, ours):
            for parameter in module.parameters():
                parameter.data.mul_(0.5)
        torch.testing.assert_close(ours(x)[0], stock(x)[0], rtol=1e-5, atol=1e-5)
        assert not torch.equal(before, ours(x)[0])
        ours.weight_hh_l0.data[1, 1] += 1  # a single value
        stock.weight_hh_l0.data[1, 1] += 1
        ours.flatten_parameters()
        torch.testing.assert_close(ours(x)[0], stock(x)[0], rtol=1e-5, atol=1e-5)


def test_state_dicts_go_both_ways():
    stock, ours = nn.LSTM(E, H, num_layers=2), unrolled.torch.LSTM(E, H, num_layers=2)
    ours(torch.randn(T, B, E))
    ours.load_state_dict(stock.state_dict())
    x = torch.randn(T, B, E)
    torch.testing.assert_close(ours(x)[0], stock(x)[0], rtol=1e-5, atol=1e-5)
    stock.load_state_dict(ours.state_dict())
    assert list(stock.state_dict()) == list(ours.state_dict())


def test_deepcopy_and_pickle():
    ours = unrolled.torch.LSTM(E, H, bidirectional=True)
    x = torch.randn(T, B, E)
    y, _ = ours(x)
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    for other in (copy.deepcopy(ours), torch.load(file, weights_only=False)):
        assert torch.equal(other(x)[0], y)
        with torch.no_grad():
            other.weight_ih_l0.add_(1)
        assert torch.equal(ours(x)[0], y) and not torch.equal(other(x)[0], y)


def test_dropout_has_its_share_and_follows_the_generator_of_torch():
    ours = unrolled.torch.LSTM(E, 64, num_layers=2, dropout=0.5)
    x = torch.randn(T, B, E)
    torch.manual_seed(5)
    first = ours(x)[0]
    second = ours(x)[0]
    torch.manual_seed(5)
    assert torch.equal(ours(x)[0], first) and not torch.equal(first, second)
    with torch.no_grad():
        torch.manual_seed(5)
        assert torch.equal(ours(x)[0], first)
    y = ours.eval()(x)[0]
    assert torch.equal(ours(x)[0], y)
    y.sum().backward()  # gradients without dropout
    # The masks of the backward pass are those of the forward pass, also if it runs again.
    ours.train()
    grads = []
    for _ in range(2):
        torch.manual_seed(5)
        ours.zero_grad()
        y = ours(x)[0]
        y.sum().backward(retain_graph=True)
        grads.append(ours.weight_ih_l0.grad.clone())
        ours.zero_grad()
        y.sum().backward()
        grads.append(ours.weight_ih_l0.grad.clone())
    assert all(torch.equal(grads[0], grad) for grad in grads)


def test_dropout_of_everything_is_computed_by_torch():
    stock, ours = pair("LSTM", E, H, num_layers=2, dropout=1.0)
    x = torch.randn(T, B, E)
    torch.testing.assert_close(ours(x)[0], stock(x)[0])


def test_other_dtypes_and_transformations_are_computed_by_torch():
    stock, ours = pair("LSTM", E, H)
    x = torch.randn(T, B, E, dtype=torch.float64)
    assert torch.equal(ours.double()(x)[0], stock.double()(x)[0])
    assert not ours._unrolled.free
    ours, stock = ours.float(), stock.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours(x.float())
    assert not ours._unrolled.free
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(ours, x.float())
    torch.testing.assert_close(traced(x.float())[0], stock(x.float())[0])
    meta = unrolled.torch.GRU(E, H, device="meta")
    assert meta(torch.empty(T, B, E, device="meta"))[0].shape == (T, B, H)


def test_derivatives_of_other_kinds_are_computed_by_torch():
    stock, ours = pair("GRU", E, H)
    x, parameters = torch.randn(T, B, E), dict(stock.named_parameters())
    for derive in (torch.func.grad, torch.func.jacrev):
        expected, found = (
            derive(lambda given, m=m: torch.func.functional_call(m, given, (x,))[0].sum())(
                parameters
            )
            for m in (stock, ours)
        )
        for name, values in expected.items():
            torch.testing.assert_close(found[name].detach(), values.detach())
    assert not ours._unrolled.free


def test_wrong_arguments_raise_the_errors_of_torch():
    stock, ours = pair("LSTM", E, H)
    h = torch.zeros(1, B, H)
    for arguments in (
        (torch.zeros(T, B, E + 1),),
        (torch.zeros(T),),
        (torch.zeros(T, B, E), (h, torch.zeros(1, B + 1, H))),
        (torch.zeros(T, B, E), (torch.zeros(2, B, H), h)),
        (torch.zeros(T, E), (h, h)),
        (torch.zeros(T, B, E).double(),),
        (torch.zeros(0, B, E),),
    ):
        with pytest.raises(Exception) as expected:
            stock(*arguments)
        with pytest.raises(expected.type) as found:
            ours(*arguments)
        assert str(found.value) == str(expected.value)


def test_views_of_any_strides():
    stock, ours = pair("LSTM", E, H)
    x = torch.randn(B, E, T).permute(2, 0, 1)
    h = torch.randn(1, 1, H).expand(1, B, H)
    torch.testing.assert_close(ours(x, (h, h))[0], stock(x, (h, h))[0], rtol=1e-5, atol=1e-5)


def test_nan_is_as_in_torch():
    stock, ours = pair("LSTM", E, H)
    x = torch.randn(T, B, E)
    x[2, 1, 0] = torch.nan
    expected, found = stock(x)[0], ours(x)[0]
    assert torch.equal(expected.isnan(), found.isnan())


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict(
            {"rnn": nn.LSTM(E, H), "list": nn.ModuleList([nn.GRU(H, H), nn.RNN(H, H)])}
        )
        self.again = self.parts["rnn"]

    def forward(self, x):
        x = self.parts["rnn"](x)[0]
        for layer in self.parts["list"]:
            x = layer(x)[0]
        return x


def test_accelerate_replaces_layers_and_shares_parameters():
    model = Model()
    x = torch.randn(T, B, E)
    expected = model(x)
    parameters = dict(model.named_parameters())
    hits = []
    model.parts["rnn"].register_forward_hook(lambda *_: hits.append(1))
    assert unrolled.torch.accelerate(model) is model
    assert type(model.parts["rnn"]) is unrolled.torch.LSTM and model.again is model.parts["rnn"]
    assert (
        type(model.parts["list"][0]) is unrolled.torch.GRU
        and type(model.parts["list"][1]) is unrolled.torch.RNN
    )
    found = dict(model.named_parameters())
    assert list(found) == list(parameters) and all(
        found[name] is parameters[name] for name in found
    )
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)
    assert hits == [1]
    assert type(unrolled.torch.accelerate(nn.LSTM(E, H))) is unrolled.torch.LSTM


def test_functional_calls_use_the_given_parameters():
    stock, ours = pair("LSTM", E, H)
    x = torch.randn(T, B, E)
    other = {
        name: torch.randn_like(values, requires_grad=True)
        for name, values in ours.state_dict().items()
    }
    found = torch.func.functional_call(ours, other, (x,))[0]
    expected = torch.func.functional_call(stock, other, (x,))[0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    found.sum().backward()
    assert other["weight_hh_l0"].grad is not None
    torch.testing.assert_close(ours(x)[0], stock(x)[0], rtol=1e-5, atol=1e-5)


def test_the_number_of_threads_follows_torch_and_changes_no_bit():
    ours = unrolled.torch.LSTM(64, 96, num_layers=2)
    x = torch.randn(20, 30, 64)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            ours.zero_grad()
            y = ours(x)[0]
            y.sum().backward()
            assert {network.kind for network in ours._unrolled.free} == {(threads, "f32")}
            results.append([y.detach(), *(p.grad.clone() for p in ours.parameters())])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other))


def _in_a_fork(queue, rnn, x):
    queue.put(rnn(x)[0].detach().numpy())


def test_a_fork_after_operations_on_several_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        rnn, x = unrolled.torch.LSTM(128, 128), torch.randn(50, 50, 128)
        expected = (x @ torch.eye(128) * 0 + rnn(x)[0]).detach().numpy()
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=_in_a_fork, args=(queue, rnn, x))
        child.start()
        found = queue.get(timeout=120)
        child.join(60)
    finally:
        torch.set_num_threads(before)
    assert (found == expected).all()


class Rows(torch.utils.data.Dataset):
    def __init__(self, rnn, x):
        self.rnn, self.x = rnn, x

    def __len__(self):
        return self.x.shape[1]

    def __getitem__(self, row):
        with torch.no_grad():
            return self.rnn(self.x[:, row])[0]


def test_workers_of_a_data_loader():
    rnn, x = unrolled.torch.LSTM(64, 128), torch.randn(50, 6, 64)
    expected = rnn(x)[0].detach()  # starts threads in this process
    loader = torch.utils.data.DataLoader(
        Rows(rnn, x),
        batch_size=3,
        num_workers=2,
        multiprocessing_context=multiprocessing.get_context("fork"),
    )
    found = torch.cat(list(loader)).transpose(0, 1)
    assert torch.equal(found, expected)


def test_parameters_in_shared_memory():
    ours = unrolled.torch.LSTM(E, H)
    x = torch.randn(T, B, E)
    y = ours(x)[0]
    ours.share_memory()
    assert torch.equal(ours(x)[0], y)


def test_precision():
    torch.manual_seed(1)
    plain = nn.LSTM(E, H, num_layers=2)
    rounded = unrolled.torch.accelerate(copy.deepcopy(plain), precision="bf16")
    made = unrolled.torch.LSTM(E, H, num_layers=2, precision="bf16")
    made.load_state_dict(plain.state_dict())
    shown = f"LSTM({E}, {H}, num_layers=2, precision='bf16')"
    assert repr(made) == repr(rounded) == shown
    x = torch.randn(T, B, E, requires_grad=True)
    expected, _ = plain(x)
    in_f32, _ = unrolled.torch.accelerate(copy.deepcopy(plain))(x)
    results = []
    for module in (rounded, made, copy.deepcopy(made)):
        assert module.precision == "bf16"
        y, _ = module(x)
        assert y.dtype == torch.float32
        torch.testing.assert_close(y, expected, rtol=0.05, atol=0.05)
        assert not torch.equal(y, in_f32)
        results.append((y, *torch.autograd.grad(y.sum(), (x, *module.parameters()))))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other))
    made.precision = "f32"
    assert torch.equal(made(x)[0], in_f32)
    torch.testing.assert_close(in_f32, expected, rtol=1e-5, atol=1e-5)


def test_a_precision_that_modules_lack_is_an_error():
    for make in (
        lambda precision: unrolled.torch.accelerate(nn.LSTM(1, 1), precision=precision),
        lambda precision: unrolled.torch.GRU(1, 1, precision=precision),
    ):
        with pytest.raises(ValueError) as error:
            make("f16")
        assert str(error.value) == 'found precision = "f16", expected f32 or bf16'
        with pytest.raises(ValueError, match='"int8", expected f32 or bf16; int8 is for'):
            make("int8")
