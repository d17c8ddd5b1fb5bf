"""A BERT built from a configuration of transformers, never from the hub."""

from __future__ import annotations

from typing import Any

import torch
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertForMaskedLM

from harness.benchmark import Request, Workload


def masked_language_model(request: Request) -> Workload:
    """BERT for masked language modelling: tokens [batch, sequence] to scores [batch, sequence, vocabulary].

    Labels are given when training only, as in V1; then the model computes its own cross entropy over every position.
    Trained by Adam, lr 1e-3. Dropout is the configuration's 0.1. An item is a sequence.
    """
    size = request.size
    torch.manual_seed(request.seed)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=size["vocabulary"],
            hidden_size=size["hidden"],
            num_hidden_layers=size["layers"],
            num_attention_heads=size["heads"],
            intermediate_size=size["feed_forward"],
        )
    )
    model = model.to(request.device).train(request.training)
    tokens = torch.randint(size["vocabulary"], (request.batch, size["sequence"])).to(request.device)
    workload = Workload(model=model, inputs=(), items=request.batch, keywords={"input_ids": tokens})
    if request.training:
        workload.keywords["labels"] = torch.randint(size["vocabulary"], tokens.shape).to(request.device)
        workload.loss = _own_loss
        workload.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return workload


def _own_loss(output: Any) -> Any:
    return output.loss
