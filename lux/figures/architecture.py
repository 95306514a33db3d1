"""The picture of which room of the package imports which."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt

from lux.figures import COLORS, new_figure, paper_style


@paper_style()
def import_matrix(rooms: Sequence[str], counts: Mapping[tuple[str, str], int]) -> plt.Figure:
    """Draw how many imports lead from each room (row) to each other (column), the highest room first.

    Parameters
    ----------
    rooms : sequence of str
        From the highest down: none imports from one before it, so that all marks lie on one side of the diagonal.
    counts : dict of (importing room, imported room) to int
    """
    figure, axis = new_figure(height=5.6)
    place = {room: number for number, room in enumerate(rooms)}
    axis.plot([-0.5, len(rooms) - 0.5], [-0.5, len(rooms) - 0.5], color="black", linewidth=0.8)
    for (importer, imported), count in counts.items():
        row, column = place[importer], place[imported]
        color = COLORS["model" if column > row else "highlight"]
        axis.scatter(column, row, s=210, marker="s", color=color, linewidths=0)
        axis.text(column, row, str(count), ha="center", va="center", color="white", fontsize=8.5)
    axis.set_xticks(range(len(rooms)), rooms, rotation=60, ha="left", rotation_mode="anchor", fontsize=10)
    axis.set_yticks(range(len(rooms)), rooms, fontsize=10)
    axis.tick_params(which="both", length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.minorticks_off()
    axis.set(xlim=(-0.5, len(rooms) - 0.5), ylim=(len(rooms) - 0.5, -0.5))
    axis.set(xlabel="imported room", ylabel="importing room")
    axis.xaxis.set_label_position("top")
    axis.grid(color="#dddddd", linewidth=0.5)
    return figure
