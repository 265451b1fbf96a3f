"""Rankings of K > 2: Plackett-Luce, and Davidson-Luce with a strength for ties of each size.

Plackett-Luce (Luce 1959; Plackett 1975): P(i chosen from A) = exp(u_i) / sum_A exp(u).
Davidson-Luce (Firth, Kosmidis and Turner 2019): P(T chosen from A) is proportional to
delta_|T| (prod_T exp(u))^(1/|T|) over the subsets T of A whose size can tie; delta_1 = 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ranking.blocks import OrderBlock, chunks, take_rows
from ranking.likelihood.stages import ChoiceSums, choice_sums, plackett_luce_stages
from ranking.likelihood.strict import WIDEST
from ranking.likelihood.terms import CHUNK, Floats, Layout, RowTerms


@dataclass(frozen=True)
class OrderRows:
    """Rankings of one pattern. With tie sizes in the layout it is Davidson-Luce, without Plackett-Luce."""

    block: OrderBlock
    layout: Layout

    def thinned(self, every: int) -> OrderRows:
        """Every so many-th vote."""
        return OrderRows(self.block.thinned(every), self.layout)

    def is_strict(self, phi: Floats) -> bool:
        """Whether these are rankings without ties and covariates, at strengths that StrictTotals can take."""
        plain = not self.layout.extras and max(self.block.sizes) == 1 and self.block.width > 1
        return plain and bool(np.ptp(phi) < WIDEST)

    def walk(self, phi: Floats) -> Iterator[RowTerms]:
        """The terms of each vote at phi, a chunk at a time."""
        effects = self.layout.effects(phi)
        theta = phi[: self.layout.n]
        # Without covariates a strength is the same in every vote: n exponentials in place of K per vote.
        plain = self.block.features is None and np.ptp(theta) < WIDEST if theta.size else False
        worth = np.exp(theta - theta.max(initial=-np.inf)) if plain else None
        tau = phi[self.layout.n : self.layout.n + len(self.layout.tie_sizes)]
        roots: dict[int, Floats] = {}
        if worth is not None and self.layout.tie_sizes and np.abs(tau).max() < WIDEST:
            roots = {size: worth ** (1.0 / size) for size in (1, *self.layout.tie_sizes)}
        for part in chunks(len(self.block), CHUNK):
            items = self.block.items[:, part].astype(np.intp, copy=False)
            utility = theta[items]  # (K, r)
            features = None if self.block.features is None else self.block.features[:, :, part]
            if features is not None:
                utility += np.tensordot(effects, features, axes=1)
            terms = _Choices(utility, self.layout.tie_sizes)
            if self.layout.tie_sizes:
                found = {size: root[items] for size, root in roots.items()} if roots else None
                terms.davidson_luce(self.block.sizes, tau, found)
            else:
                terms.plackett_luce(self.block.sizes, None if worth is None else worth[items], theta.max())
            yield terms.finish(take_rows(self.block, part), items, features)


class _Choices:
    """Sums over the choices of a vote, for r votes of one pattern at once."""

    def __init__(self, utility: Floats, tie_sizes: tuple[int, ...]) -> None:
        self.width, self.r = utility.shape
        self.utility = utility
        self.tie_sizes = tie_sizes
        ties = len(tie_sizes)
        self.log_likelihood = np.zeros(self.r)
        self.score: Floats = np.zeros((self.width, self.r))
        self.coupling = {
            (c, d): np.zeros(self.r) for c in range(self.width) for d in range(c + 1, self.width)
        }
        self.tie_score = np.zeros((ties, self.r))
        self.tie_cross = np.zeros((self.width, ties, self.r))
        self.tie_information = np.zeros((ties, ties, self.r))

    def plackett_luce(self, sizes: tuple[int, ...], worth: Floats | None, highest: float) -> None:
        """Add the choices of a vote with these tied groups, a tie as the mean over its orders.

        `worth` (K, r) is exp(utility - highest) where it is known already.
        """
        top: Floats | float = highest if worth is not None else self.utility.max(axis=0)
        strength = worth if worth is not None else np.exp(self.utility - top)  # (K, r), at most 1
        if max(sizes) == 1:
            log_total, chosen, once, twice = self._nested_choices(strength, len(sizes))
        else:
            log_total, chosen, once, twice = self._weighted_choices(strength, sizes)
        gain = self._gain_of_the_chosen(sizes)
        self.log_likelihood += gain @ self.utility - log_total - chosen * top
        np.multiply(strength, once, out=once)
        np.subtract(gain[:, np.newaxis], once, out=self.score)
        for (c, d), value in twice.items():
            self.coupling[c, d] = -(strength[c] * value) * strength[d]

    def _nested_choices(
        self, strength: Floats, ranked: int
    ) -> tuple[Floats, float, Floats, dict[tuple[int, int], Floats]]:
        """A strict order: each choice is from the columns after the last, so sums run on.

        Returns the log of the product of the totals, how many choices there were, and per column and per
        pair of columns the sums of 1 / total and 1 / total^2 over the choices that had them to choose from.
        """
        choices = min(ranked, self.width - 1)
        total = strength[choices:].sum(axis=0)
        totals = np.empty((choices, self.r))
        for k in range(choices - 1, -1, -1):
            total = np.add(total, strength[k], out=totals[k])
        log_total = _log_of_product(totals)
        inverse = np.divide(1.0, totals, out=totals)
        squared = inverse * inverse
        for k in range(1, choices):
            inverse[k] += inverse[k - 1]
            squared[k] += squared[k - 1]
        once = np.empty((self.width, self.r))
        twice: dict[tuple[int, int], Floats] = {}
        for c in range(self.width):
            last = min(c, choices - 1)
            once[c] = inverse[last]
            twice |= {(c, d): squared[last] for d in range(c + 1, self.width)}
        return log_total, float(choices), once, twice

    def _weighted_choices(
        self, strength: Floats, sizes: tuple[int, ...]
    ) -> tuple[Floats, float, Floats, dict[tuple[int, int], Floats]]:
        """The same for ties: every order that a tie could have had is one weighted sequence of choices."""
        log_total, chosen = np.zeros(self.r), 0.0
        once = np.zeros((self.width, self.r))
        twice: dict[tuple[int, int], Floats] = {}
        for columns, weight in plackett_luce_stages(sizes, self.width):
            total = _sum(strength, columns)
            log_total += weight * np.log(total)
            chosen += weight
            inverse = weight / total
            squared = inverse / total
            for place, c in enumerate(columns):
                once[c] += inverse
                for d in columns[place + 1 :]:
                    if (c, d) in twice:
                        twice[c, d] += squared
                    else:
                        twice[c, d] = squared.copy()
        return log_total, chosen, once, twice

    def _gain_of_the_chosen(self, sizes: tuple[int, ...]) -> Floats:
        """(K,) how often each column is chosen; the last one left of a complete ranking never has to be."""
        gain = np.zeros(self.width)
        gain[: sum(sizes)] = 1.0
        if sum(sizes) == self.width:
            gain[self.width - sizes[-1] :] -= 1.0 / sizes[-1]
        return gain

    def davidson_luce(self, sizes: tuple[int, ...], tau: Floats, roots: dict[int, Floats] | None) -> None:
        """Add the choices of a vote in which each tied group was chosen as one.

        `roots` holds exp(utility / size) (K, r) for single choices and each size of tie, where known already.
        """
        start = 0
        for size in sizes:
            if self.width - start > 1:
                sums = choice_sums(start, self.width, self.tie_sizes)
                chosen = sums.subsets.index(tuple(range(start, start + size)))
                if roots is None:
                    p = self._chances_of_logits(sums.subsets, tau, chosen)
                else:
                    p = self._chances_of_products(sums.subsets, tau, roots, chosen)
                self._choose_together(start, size, sums, p)
            start += size

    def _chances_of_logits(self, subsets: tuple[tuple[int, ...], ...], tau: Floats, chosen: int) -> Floats:
        """(S, r) probability of every subset; that of the chosen one goes into the log-likelihood."""
        logits = np.empty((len(subsets), self.r))
        for s, subset in enumerate(subsets):
            logits[s] = _sum(self.utility, subset) / len(subset)
            if len(subset) > 1:
                logits[s] += tau[self.tie_sizes.index(len(subset))]
        top = logits.max(axis=0)
        self.log_likelihood += logits[chosen] - top
        p = np.exp(logits - top, out=logits)
        total = p.sum(axis=0)
        self.log_likelihood -= np.log(total)
        p /= total
        return np.asarray(p)

    def _chances_of_products(
        self, subsets: tuple[tuple[int, ...], ...], tau: Floats, roots: dict[int, Floats], chosen: int
    ) -> Floats:
        """The same where no vote needs an exponential of its own."""
        p = np.empty((len(subsets), self.r))
        for s, subset in enumerate(subsets):
            root = roots[len(subset)]
            if len(subset) == 1:
                p[s] = root[subset[0]]
                continue
            np.multiply(root[subset[0]], np.exp(tau[self.tie_sizes.index(len(subset))]), out=p[s])
            for c in subset[1:]:
                p[s] *= root[c]
        p *= 1.0 / p.sum(axis=0)
        self.log_likelihood += np.log(p[chosen])
        return p

    def _choose_together(self, start: int, size: int, sums: ChoiceSums, p: Floats) -> None:
        rest, ties = self.width - start, len(self.tie_sizes)
        summed = sums.matrix @ p
        mean, by_size = summed[:rest], summed[rest : rest + ties]
        self.score[start:] -= mean
        self.score[start : start + size] += 1.0 / size
        row = rest + ties
        for c in range(rest):
            for d in range(c + 1, rest):
                self.coupling[start + c, start + d] += summed[row] - mean[c] * mean[d]
                row += 1
        if not ties:
            return
        self.tie_cross[start:] += summed[row:].reshape(rest, ties, self.r)
        self.tie_cross[start:] -= mean[:, np.newaxis] * by_size[np.newaxis]
        self.tie_score -= by_size
        if size > 1:
            self.tie_score[self.tie_sizes.index(size)] += 1.0
        self.tie_information -= by_size[:, np.newaxis] * by_size[np.newaxis]
        for tie in range(ties):
            self.tie_information[tie, tie] += by_size[tie]

    def finish(self, rows: np.ndarray | slice, items: np.ndarray, features: Floats | None) -> RowTerms:
        """All terms, those of the covariates (F, K, r) added behind those of the ties."""
        if features is None:
            return RowTerms(rows, items, self.log_likelihood, self.score, self.coupling,
                            self.tie_score, self.tie_cross, self.tie_information)  # fmt: skip
        cross = self._feature_cross(features)  # (K, F, r)
        between = np.einsum("fkr,ktr->tfr", features, self.tie_cross)
        within = np.einsum("fkr,kgr->fgr", features, cross)
        corner = np.concatenate(
            [
                np.concatenate([self.tie_information, between], axis=1),
                np.concatenate([between.transpose(1, 0, 2), within], axis=1),
            ]
        )
        extra_score = np.concatenate([self.tie_score, np.einsum("fkr,kr->fr", features, self.score)])
        return RowTerms(rows, items, self.log_likelihood, self.score, self.coupling,
                        extra_score, np.concatenate([self.tie_cross, cross], axis=1), corner)  # fmt: skip

    def _feature_cross(self, features: Floats) -> Floats:
        cross = np.zeros((self.width, features.shape[0], self.r))
        for (c, d), value in self.coupling.items():
            # Rows of the information sum to zero, so a slot meets a covariate through differences.
            difference = value * (features[:, d] - features[:, c])
            cross[c] += difference
            cross[d] -= difference
        return cross


def _log_of_product(values: Floats) -> Floats:
    """(r,) sum of the logs of the rows; the log of a product of two costs half of two logs."""
    total: Floats = np.log(values[0] * values[1] if len(values) > 1 else values[0])
    for k in range(2, len(values), 2):
        total += np.log(values[k] * values[k + 1] if k + 1 < len(values) else values[k])
    return total


def _sum(values: Floats, columns: tuple[int, ...]) -> Floats:
    total: Floats = values[columns[0]].copy()
    for column in columns[1:]:
        total += values[column]
    return total
