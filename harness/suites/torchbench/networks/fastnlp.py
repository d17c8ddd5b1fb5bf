"""The text classifier that TorchBench calls fastNLP: a bag of embeddings and one linear layer, no BERT."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload


class BagClassifier(nn.Module):
    """Tokens of all sentences, one after the other [tokens], to scores [batch, classes].

    The mean of a sentence's embeddings, dropout 0.1, a linear layer; `offsets` [batch] holds where each sentence
    begins. The table's gradient is dense. Parameters: vocabulary * hidden + (hidden + 1) * classes.
    """

    def __init__(self, vocabulary: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocabulary, hidden)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        """Classify the sentences."""
        return self.classifier(self.dropout(self.embedding(tokens, offsets)))


def bag_classifier(request: Request) -> Workload:
    """The classifier on random tokens, `tokens` of them shared out evenly; SGD, lr 4, on cross entropy.

    An item is a sentence.
    """
    size, batch = request.size, request.batch
    torch.manual_seed(request.seed)
    model = BagClassifier(size["vocabulary"], size["hidden"], size["classes"])
    model = model.to(request.device).train(request.training)
    tokens = torch.randint(size["vocabulary"], (size["tokens"],)).to(request.device)
    offsets = (torch.arange(batch) * size["tokens"] // batch).to(request.device)
    workload = Workload(model=model, inputs=(tokens, offsets), items=batch)
    if request.training:
        labels = torch.randint(size["classes"], (batch,)).to(request.device)
        workload.loss = partial(functional.cross_entropy, target=labels)
        workload.optimizer = torch.optim.SGD(model.parameters(), lr=4.0)
    return workload
