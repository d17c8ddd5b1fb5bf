"""Reinforcement learning: two soft actor-critics and the renderer that a painting agent plans with.

No simulator and no replay buffer: observations, actions and rewards are random tensors made before the first step.
"""

from __future__ import annotations

from harness.benchmark import Request, Workload, benchmark


@benchmark(
    "LearningToPaint",
    category="REINFORCEMENT_LEARNING",
    domain="OTHER_RL",
    sizes={
        "small": {"batch": 8, "iterations": 1, "linear": (256, 512, 1024)},
        "v1": {"batch": 64, "iterations": 1, "linear": (512, 1024, 2048)},
        "current": {"batch": 96, "iterations": 1, "linear": (512, 1024, 2048)},
    },
    parameters={"small": 4_876_076, "v1": 11_040_812, "current": 11_040_812},
)
def learning_to_paint(request: Request) -> Workload:
    """Renderer of LearningToPaint: stroke parameters to a 128 x 128 canvas; Adam and MSE."""
    from harness.suites.torchbench.networks import painting

    return painting.renderer(request)


# `delay`: the actor and the targets are updated in every second step. A call of two steps therefore always holds the
# same work, and one of one step would take long and short times in turn; so all sizes have V1's two.
# HEAD's batch size of 1 counts environments: its replay batch is V1's.
# `parameters` are those of eval, which only acts: encoder and actor. Training has the critic and its target too.
@benchmark(
    "drq",
    category="REINFORCEMENT_LEARNING",
    domain="OTHER_RL",
    sizes={
        "small": {
            "batch": 1,
            "train_batch": 4,
            "iterations": 2,
            "delay": 2,
            "image": 48,
            "channels": 27,
            "filters": 32,
            "features": 50,
            "hidden": 256,
        },
        "v1": {
            "batch": 1,
            "train_batch": 128,
            "iterations": 2,
            "delay": 2,
            "image": 84,
            "channels": 27,
            "filters": 32,
            "features": 50,
            "hidden": 1024,
        },
        "current": {
            "batch": 1,
            "train_batch": 128,
            "iterations": 2,
            "delay": 2,
            "image": 84,
            "channels": 27,
            "filters": 32,
            "features": 50,
            "hidden": 1024,
        },
    },
    parameters={"small": 577_464, "v1": 3_099_576, "current": 3_099_576},
)
def drq(request: Request) -> Workload:
    """Soft actor-critic on randomly shifted images (DrQ), convolutions shared by actor and critic; three Adams."""
    from harness.suites.torchbench.networks import drq

    return drq.data_regularised_q(request)


# `parameters` are those of eval, which only acts: the actor. Training has two critics and their targets too.
@benchmark(
    "soft_actor_critic",
    category="REINFORCEMENT_LEARNING",
    domain="OTHER_RL",
    sizes={
        "small": {"batch": 1, "train_batch": 64, "iterations": 1, "episode": 40, "hidden": 512},
        "v1": {"batch": 1, "train_batch": 512, "iterations": 1, "episode": 10, "hidden": 1024},
        "current": {"batch": 1, "train_batch": 256, "iterations": 1, "episode": 10, "hidden": 1024},
    },
    parameters={"small": 265_730, "v1": 1_055_746, "current": 1_055_746},
)
def soft_actor_critic(request: Request) -> Workload:
    """Soft actor-critic for a pendulum, steps of acting or one update of actor, critics and temperature; Adam."""
    from harness.suites.torchbench.networks import soft_actor_critic

    return soft_actor_critic.soft_actor_critic(request)
