"""download: fetch or render the data set.

python stages/download.py
  writes  data/raw/{train,test}/    images, labels, ids, groups, masks where annotated, the validation part of train
          data/raw/card.json        source, checksums, counts, terms
"""

from pathlib import Path

from pixelprune import cli, params, stage
from pixelprune.datasets import split
from pixelprune.datasets.catalog import Dataset


def main() -> None:
    dataset = params.load("dataset", Dataset)
    with stage.running("download", Path("data/raw")):
        train, test, card = dataset.read(cli.progress)
        split.save(Path("data/raw"), train, test, card)
    print(f"download: {card['name']}, {len(card['classes'])} classes, {len(train.ids)} / {len(test.ids)} images")


if __name__ == "__main__":
    cli.run(main, __doc__)
