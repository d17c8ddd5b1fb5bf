import importlib
import itertools
import math

import pytest

from harness.benchmark import load
from harness.clock import CpuClock
from harness.lanes import step_of
from tests.workloads import build

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
attention = importlib.import_module("harness.suites.torchbench.networks.attention")
bert_pytorch = importlib.import_module("harness.suites.torchbench.networks.bert_pytorch")
fastnlp = importlib.import_module("harness.suites.torchbench.networks.fastnlp")
pcfg = importlib.import_module("harness.suites.torchbench.networks.pcfg")

SUITE = load("torchbench")
LIBRARY = [
    "hf_Albert",
    "hf_Bart",
    "hf_Bert",
    "hf_BigBird",
    "hf_DistilBert",
    "hf_GPT2",
    "hf_Longformer",
    "hf_Reformer",
    "hf_T5",
]
OWN = ["BERT_pytorch", "attention_is_all_you_need_pytorch", "fastNLP", "pytorch_struct"]

# Parts of a transformer of width 768 with a feed-forward of 3072.
NORM = 2 * 768
SQUARE = 768 * 769
FEED_FORWARD = 2 * 768 * 3072 + 3072 + 768
LAYER = 4 * SQUARE + FEED_FORWARD + 2 * NORM

# By hand; where scores are computed with the embedding's weights, those are counted once.
V1_PARAMETERS = {
    # Tokens, places and segments of 128, made wider once; one layer; a head of 128 with a bias per token.
    "hf_Albert": (30000 + 512 + 2) * 128 + 2 * 128 + 129 * 768 + LAYER + 769 * 128 + 2 * 128 + 30000,
    # Places begin at 2 on both sides; a decoder's layer has a second attention and a third norm.
    "hf_Bart": 50265 * 768 + 2 * (1026 * 768 + NORM) + 6 * LAYER + 6 * (LAYER + 4 * SQUARE + NORM),
    "hf_Bert": (30522 + 512 + 2) * 768 + NORM + 12 * LAYER + SQUARE + NORM + 30522,
    # As BERT, and a pooler that masked language modelling does not use.
    "hf_BigBird": (50358 + 4096 + 2) * 768 + NORM + 12 * LAYER + SQUARE + SQUARE + NORM + 50358,
    "hf_DistilBert": (30522 + 512) * 768 + NORM + 6 * LAYER + SQUARE + NORM + 30522,
    "hf_GPT2": (50257 + 1024) * 768 + 12 * LAYER + NORM,
    # As BERT with one segment, and in every layer query, key and value of global attention.
    "hf_Longformer": (50265 + 4098 + 1) * 768 + NORM + 12 * (LAYER + 3 * SQUARE) + SQUARE + NORM + 50265,
    # No biases in attention; local layers have four matrices, hashed ones three, for query and key are one there; the
    # head sees both halves of the reversible layers.
    "hf_Reformer": (
        320 * 256
        + 64 * 64
        + 64 * 192
        + 3 * (4 * 256 * 768)
        + 3 * (3 * 256 * 768)
        + 6 * (2 * 256 * 512 + 512 + 256 + 2 * 512)
        + 2 * 512
        + 512 * 320
        + 320
    ),
    # No biases and norms of one weight each; 32 relative positions for 8 heads on both sides.
    "hf_T5": (
        32128 * 512
        + 2 * 32 * 8
        + 6 * (4 * 512 * 512 + 2 * 512 * 2048 + 2 * 512)
        + 6 * (8 * 512 * 512 + 2 * 512 * 2048 + 3 * 512)
        + 2 * 512
    ),
    "BERT_pytorch": (15 + 3) * 768 + 12 * LAYER + 769 * 2 + 769 * 15,
    "attention_is_all_you_need_pytorch": (
        6 * (4 * 512**2 + 2 * 512 * 2048 + 2048 + 512 + 2 * 1024)
        + 6 * (8 * 512**2 + 2 * 512 * 2048 + 2048 + 512 + 3 * 1024)
        + 2 * 1024
        + 3 * 9521 * 512
    ),
    "fastNLP": 95812 * 64 + 65 * 4,
    "pytorch_struct": 256 * (5000 + 30 + 2 * 30 + 1 + 60**2) + 2 * 5 * 256 * 257,
}

# In millions, as published or as the facts of V1 give them.
PUBLISHED = {"hf_Bart": 139.4, "hf_Bert": 109.5, "hf_DistilBert": 67.0, "hf_GPT2": 124.4, "hf_T5": 60.5}
PUBLISHED["attention_is_all_you_need_pytorch"] = 58.7

V1_SHAPES = {
    "hf_Albert": {"eval": [(1, 512)], "train": [(8, 512)] * 2},
    "hf_Bart": {"eval": [(1, 512)] * 2, "train": [(4, 512)] * 2},
    "hf_Bert": {"eval": [(1, 512)], "train": [(4, 512)] * 2},
    "hf_BigBird": {"eval": [(1, 4096)], "train": [(2, 1024)] * 2},
    "hf_DistilBert": {"eval": [(1, 512)], "train": [(8, 512)] * 2},
    "hf_GPT2": {"eval": [(1, 1024)], "train": [(4, 512)] * 2},
    "hf_Longformer": {"eval": [(1, 4096)], "train": [(2, 1024)] * 2},
    "hf_Reformer": {"eval": [(1, 4096)], "train": [(8, 4096)] * 2},
    "hf_T5": {"eval": [(1, 2048)] * 2, "train": [(2, 1024)] * 2},
    "BERT_pytorch": {type: [(2, 128), (2, 128)] for type in ("eval", "train")},
    "attention_is_all_you_need_pytorch": {type: [(128, 32), (128, 31)] for type in ("eval", "train")},
    "fastNLP": {type: [(1215,), (32,)] for type in ("eval", "train")},
    "pytorch_struct": {type: [(8, 12)] for type in ("eval", "train")},
}

each = pytest.mark.parametrize("name", LIBRARY + OWN)
each_of_the_library = pytest.mark.parametrize("name", LIBRARY)
each_type = pytest.mark.parametrize("type", ("eval", "train"))


@each
def test_the_networks_of_v1_have_the_parameters_counted_by_hand(name):
    assert SUITE[name].description.parameters["v1"] == V1_PARAMETERS[name]
    if name in PUBLISHED:
        assert round(V1_PARAMETERS[name] / 1e6, 1) == PUBLISHED[name]


@each
@each_type
def test_the_inputs_of_v1_are_those_of_torchbench_v1(name, type):
    with torch.device("meta"):
        workload, request = build(name, type, size="v1", device="meta")
    found = [tuple(tensor.shape) for tensor in (*workload.inputs, *workload.keywords.values())]
    assert found == V1_SHAPES[name][type]
    assert request.iterations == (3 if name in LIBRARY and type == "train" else 1)


@each
@each_type
def test_the_device_of_the_request_is_honoured(name, type):
    # Not under `torch.device`: what forgets the request's device would stay on the CPU here.
    workload, _ = build(name, type, device="meta")
    placed = [*workload.model.parameters(), *workload.model.buffers(), *workload.inputs, *workload.keywords.values()]
    assert {tensor.device.type for tensor in placed} == {"meta"}


def untrained(name, parameter):
    """Whether the library's own network has no use for a parameter here."""
    return (
        (name == "hf_BigBird" and "pooler" in parameter)
        or (name == "hf_Longformer" and "_global" in parameter)
        or (name == "hf_Reformer" and parameter == "lm_head.bias")
    )


@each
def test_a_train_step_trains_every_parameter(name):
    workload, request = build(name, "train")
    before = {name: parameter.detach().clone() for name, parameter in workload.model.named_parameters()}
    step_of(workload, request)(CpuClock())
    kept = {
        parameter for parameter, value in workload.model.named_parameters() if torch.equal(value, before[parameter])
    }
    assert kept == {parameter for parameter in before if untrained(name, parameter)}


@each_of_the_library
def test_scores_are_of_every_token_of_the_vocabulary(name):
    workload, request = build(name, "eval")
    output = step_of(workload, request)(CpuClock())
    assert output.logits.shape == (1, request.size["sequence"], request.size["vocabulary"])
    assert "past_key_values" not in output


@pytest.mark.parametrize("name", ["hf_BigBird", "hf_Reformer"])
def test_what_computes_with_numpy_is_evaluated_outside_inference_mode_and_without_gradients(name):
    workload, request = build(name, "eval")
    logits = step_of(workload, request)(CpuClock()).logits
    assert not logits.is_inference()
    assert not logits.requires_grad


def test_gradients_add_up_only_with_the_mistakes_of_v1():
    def gradients(steps, compat):
        workload, request = build("hf_Albert", "train", compat=compat, wanted_iterations=steps)
        # Nothing moves, so that every step has the same gradient (ALBERT drops nothing).
        workload.optimizer.param_groups[0]["lr"] = 0.0
        step_of(workload, request)(CpuClock())
        return torch.cat([parameter.grad.flatten() for parameter in workload.model.parameters()])

    once = gradients(1, None)
    torch.testing.assert_close(gradients(3, None), once)
    torch.testing.assert_close(gradients(3, "v1"), 3 * once, rtol=1e-3, atol=1e-6)


@each_type
def test_sparse_attention_stays_sparse_in_the_small_size(type):
    workload, request = build("hf_BigBird", type)
    step_of(workload, request)(CpuClock())
    assert workload.model.bert.attention_type == "block_sparse"

    workload, request = build("hf_Longformer", type)
    assert next(iter(workload.keywords.values())).shape[1] >= 4 * request.size["window"]

    workload, request = build("hf_Reformer", type)
    length = workload.keywords["input_ids"].shape[1]
    assert length > 2 * request.size["chunk"]
    assert length == math.prod(request.size["axial_shape"])
    step_of(workload, request)(CpuClock())
    assert {layer.attention.self_attention.__class__.__name__ for layer in workload.model.reformer.encoder.layers} == {
        "LocalSelfAttention",
        "LSHSelfAttention",
    }


# Sentences of v1, too, must be long enough: the library falls back to full attention without an error.
def test_the_sentences_of_v1_are_long_enough_for_sparse_attention():
    for size in SUITE["hf_BigBird"].description.sizes.values():
        assert size["train_sequence"] > (5 + 2 * size["random_blocks"]) * size["block"]


@pytest.mark.filterwarnings(
    "ignore:.*deprecated:FutureWarning", "ignore::torch.jit.TracerWarning", "ignore::FutureWarning"
)
@each_of_the_library
def test_tracing_fails_for_the_reason_given(name):
    workload, _ = build(name, "eval")
    reason = SUITE[name].description.unsupported["jit"]
    message = "unordered_map::at" if "unordered_map::at" in reason else "dict at the output of the tracer"
    with pytest.raises(RuntimeError, match=message):
        torch.jit.trace(workload.model, example_kwarg_inputs=workload.keywords, check_trace=False)


@pytest.mark.parametrize("bias", [True, False])
def test_attention_is_that_of_torch_within_each_head(bias):
    torch.manual_seed(0)
    network = attention.MultiHeadAttention(12, heads=3, dropout=0.5, bias=bias).eval()
    queries, keys = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    visible = torch.rand(2, 1, 5, 7) > 0.4
    visible[..., 0] = True
    query, key, value = (
        layer(vectors).unflatten(-1, (3, 4)).transpose(1, 2)
        for layer, vectors in ((network.query, queries), (network.key, keys), (network.value, keys))
    )
    attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
    expected = network.output(attended.transpose(1, 2).reshape(2, 5, 12))
    torch.testing.assert_close(network(queries, keys, visible), expected)


def test_places_are_vaswanis():
    found = attention.sinusoids(50, 8)
    for position, index in itertools.product((0, 1, 49), range(8)):
        angle = position / 10_000 ** (index // 2 * 2 / 8)
        expected = math.cos(angle) if index % 2 else math.sin(angle)
        assert found[position, index].item() == pytest.approx(expected, abs=1e-5)


def test_the_learning_rate_rises_to_its_peak_and_falls_with_the_root():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = attention.WarmedUpAdam([weight], width=64, warm_up=4, factor=2.0)
    rates = []
    for _ in range(16):
        optimizer.zero_grad()
        weight.grad = torch.ones(1)
        optimizer.step()
        rates.append(optimizer.adam.param_groups[0]["lr"])
    peak = 2 / 8 / 2
    assert rates[0] == pytest.approx(peak / 4)
    assert rates[3] == pytest.approx(peak)
    assert rates[15] == pytest.approx(peak / 2)
    # Adam's steps are the learning rate's size while all gradients are the same.
    assert weight.item() == pytest.approx(1 - sum(rates), rel=1e-4)


def test_the_translators_optimizer_is_made_anew_in_each_call_only_with_the_mistakes_of_v1():
    def optimizers(compat):
        workload, request = build("attention_is_all_you_need_pytorch", "train", compat=compat, wanted_iterations=2)
        step, found = step_of(workload, request), []
        for _ in range(3):
            step(CpuClock())
            # With the mistakes of V1 the optimizer at work stands inside of the one that makes it anew.
            found.append(getattr(workload.optimizer, "current", workload.optimizer).adam)
        return found, [len(adam.state) for adam in found], workload

    found, states, workload = optimizers("v1")
    assert len(set(map(id, found))) == 3
    steps = {state["step"].item() for state in found[-1].state.values()}
    assert steps == {2.0}
    found, states, workload = optimizers(None)
    assert len(set(map(id, found))) == 1
    assert set(states) == {len(list(workload.model.parameters()))}


def test_the_translator_sees_neither_the_future_nor_padding():
    torch.manual_seed(0)
    network = attention.Translator(50, width=16, layers=2, heads=2, hidden=32, positions=20).eval()
    source, target = torch.randint(2, 50, (2, 6)), torch.randint(2, 50, (2, 5))
    scores = network(source, target)
    assert scores.shape == (2, 5, 50)
    later = target.clone()
    later[:, 3] = (later[:, 3] - 2 + 7) % 48 + 2
    changed = network(source, later)
    torch.testing.assert_close(changed[:, :3], scores[:, :3])
    assert not torch.allclose(changed[:, 3], scores[:, 3])
    padded = torch.cat([source, torch.full((2, 3), attention.PADDING)], dim=1)
    torch.testing.assert_close(network(padded, target), scores)
    assert not torch.allclose(network(source[:, :4], target), scores)


def test_the_translators_loss_is_the_sum_over_what_is_not_padding():
    scores = torch.randn(2, 3, 9)
    answers = torch.tensor([[4, 8, attention.PADDING], [2, attention.PADDING, attention.PADDING]])
    chances = scores.log_softmax(-1)
    expected = -(chances[0, 0, 4] + chances[0, 1, 8] + chances[1, 0, 2])
    torch.testing.assert_close(attention.summed_cross_entropy(scores, answers), expected)


def test_the_translators_sentences_are_padded_behind():
    workload, _ = build("attention_is_all_you_need_pytorch", "train")
    for tokens, length in zip(workload.inputs, (16, 15), strict=True):
        words = tokens != attention.PADDING
        assert bool((words[:, 1:] <= words[:, :-1]).all())
        assert words.sum(1).min() >= length // 2
    assert bool((workload.inputs[0][0] != attention.PADDING).all())


def test_bert_answers_with_log_probabilities_and_ignores_padding():
    torch.manual_seed(0)
    network = bert_pytorch.Bert(30, width=16, layers=2, heads=2, hidden=32, positions=10).eval()
    tokens, segments = torch.randint(5, 30, (2, 8)), torch.ones(2, 8, dtype=torch.long)
    follows, words = network(tokens, segments)
    assert follows.shape == (2, 2)
    assert words.shape == (2, 8, 30)
    for part in (follows, words):
        torch.testing.assert_close(part.exp().sum(-1), torch.ones(part.shape[:-1]))
    padding = torch.zeros(2, 2, dtype=torch.long)
    more, _ = network(torch.cat([tokens, padding], 1), torch.cat([segments, padding], 1))
    torch.testing.assert_close(more, follows)


def test_berts_loss_counts_hidden_words_and_both_kinds_of_pairs():
    follows, words = torch.randn(3, 2).log_softmax(-1), torch.randn(3, 4, 9).log_softmax(-1)
    answers = torch.zeros(3, 4, dtype=torch.long)
    answers[0, 1], answers[2, 3] = 5, 8
    expected = -(follows[0, 0] + follows[1, 1] + follows[2, 0]) / 3 - (words[0, 1, 5] + words[2, 3, 8]) / 2
    torch.testing.assert_close(bert_pytorch.both_losses((follows, words), torch.tensor([0, 1, 0]), answers), expected)


def test_every_seventh_word_is_hidden_from_bert():
    workload, _ = build("BERT_pytorch", "train")
    hidden = workload.inputs[0] == bert_pytorch.MASK
    assert hidden.float().mean().item() == pytest.approx(1 / 7, abs=0.02)
    assert torch.equal(workload.loss.keywords["words"] != bert_pytorch.PADDING, hidden)


def test_a_sentence_of_fastnlp_is_the_mean_of_its_words():
    torch.manual_seed(0)
    network = fastnlp.BagClassifier(20, 6, 4).eval()
    rows = network.embedding.weight
    bags = torch.stack([rows[[3, 5, 3]].mean(0), rows[[7]].mean(0)])
    found = network(torch.tensor([3, 5, 3, 7]), torch.tensor([0, 3]))
    torch.testing.assert_close(found, network.classifier(bags))


def random_grammar(words, terminals, nonterminals, sentences):
    torch.manual_seed(3)
    network = pcfg.NeuralGrammar(words, terminals, nonterminals, width=6)
    # Larger than at the start, or every parse would be about as likely.
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    return network.double(), network(sentences)


def by_enumeration(terms, rules, roots):
    """Probability of one sentence, tree by tree: symbols are numbers, nonterminals first."""
    nonterminals, length = len(roots), len(terms)

    def trees(symbol, begin, end):
        if symbol >= nonterminals:
            return [terms[begin, symbol - nonterminals].exp()] if end - begin == 1 else []
        found = []
        for split, first, second in itertools.product(range(begin + 1, end), *[range(rules.shape[1])] * 2):
            rule = rules[symbol, first, second].exp()
            pairs = itertools.product(trees(first, begin, split), trees(second, split, end))
            found += [rule * left * right for left, right in pairs]
        return found

    return sum(roots[symbol].exp() * tree for symbol in range(nonterminals) for tree in trees(symbol, 0, length))


def test_the_partition_is_the_sum_over_all_parse_trees():
    sentences = torch.tensor([[0, 3, 1, 2], [2, 2, 0, 1], [1, 0, 3, 3]])
    lengths = torch.tensor([4, 3, 2])
    _, (terms, rules, roots) = random_grammar(4, 2, 2, sentences)
    found = pcfg.log_partition(terms, rules, roots, lengths)
    for sentence, length in enumerate(lengths.tolist()):
        expected = by_enumeration(terms[sentence, :length], rules, roots)
        torch.testing.assert_close(found[sentence].exp(), expected)


def test_the_probabilities_of_all_sentences_of_two_words_are_those_of_two_terminals():
    sentences = torch.tensor(list(itertools.product(range(5), repeat=2)))
    _, (terms, rules, roots) = random_grammar(5, 3, 2, sentences)
    found = pcfg.log_partition(terms, rules, roots, torch.full((25,), 2)).exp().sum()
    torch.testing.assert_close(found, (roots.exp() @ rules[:, 2:, 2:].exp().sum((1, 2))))


def test_the_partition_of_a_long_sentence_is_sound_in_single_precision():
    sentences = torch.randint(4, (1, 100))
    network, (terms, rules, roots) = random_grammar(4, 3, 3, sentences)
    value = pcfg.log_partition(terms.float(), rules.float(), roots.float(), torch.tensor([100]))
    value.sum().backward()
    # The probability itself could not be written down.
    assert value.exp().item() == 0
    double = pcfg.log_partition(terms, rules, roots, torch.tensor([100]))
    assert value.item() == pytest.approx(double.item(), rel=1e-4)
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())


def test_the_grammars_gradient_is_clipped_at_a_norm_of_three():
    workload, request = build("pytorch_struct", "train")
    loss = workload.loss
    workload.loss = lambda output: 1e4 * loss(output)
    step_of(workload, request)(CpuClock())
    norms = torch.stack([parameter.grad.norm() for parameter in workload.model.parameters()])
    assert norms.norm().item() == pytest.approx(3.0, rel=1e-3)


def test_training_the_grammar_makes_its_sentences_likelier():
    workload, request = build("pytorch_struct", "train")
    step = step_of(workload, request)
    losses = [step(CpuClock()).item() for _ in range(6)]
    assert losses == sorted(losses, reverse=True)
