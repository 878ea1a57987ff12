"""How often the interval over clusters holds the truth: to be run by hand, `python -m tests.stats.coverage`.

Each sample has a chance of its own to be answered well (beta), each repeat is drawn with it (binomial).
"""

from __future__ import annotations

import sys
from random import Random

from llmbatch.stats import Clusters

REPEATS = 5
SAMPLES = (10, 20, 50, 150)
ACCURACIES = (0.5, 0.8, 0.95)
CORRELATIONS = (0.1, 0.5, 0.9)


def study(random: Random, samples: int, accuracy: float, correlation: float) -> Clusters:
    """Return the scores of one study."""
    spread = (1 - correlation) / correlation
    chances = [random.betavariate(accuracy * spread, (1 - accuracy) * spread) for _ in range(samples)]
    hits = [sum(random.random() < chance for _ in range(REPEATS)) for chance in chances]
    x, n = sum(hits), samples * REPEATS
    return Clusters(x, n, sum(each * each for each in hits), x * REPEATS, n * REPEATS)


def main(studies: int) -> None:
    """Print the share of studies whose interval holds the true accuracy, by clusters and by cases."""
    random = Random(20261127)
    print("samples  accuracy  correlation  clusters  cases")
    for samples in SAMPLES:
        for accuracy in ACCURACIES:
            for correlation in CORRELATIONS:
                held = [0, 0]
                for _ in range(studies):
                    clusters = study(random, samples, accuracy, correlation)
                    for at, each in enumerate((clusters, Clusters.single(clusters.successes, clusters.trials))):
                        low, high = each.interval() or (0.0, 1.0)
                        held[at] += low <= accuracy <= high
                shares = "  ".join(f"{each / studies:8.3f}" for each in held)
                print(f"{samples:7}  {accuracy:8}  {correlation:11}  {shares}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
