"""Products with sparse matrices: one multiply-add for each pair of stored elements that meet."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.analysis import FlopAnalyzer

LAYOUTS = {"coo": torch.Tensor.to_sparse, "csr": torch.Tensor.to_sparse_csr, "csc": torch.Tensor.to_sparse_csc}
pytestmark = pytest.mark.filterwarnings("ignore:Sparse")


def matrix(layout):
    dense = torch.zeros(4, 5)
    dense[0, 1] = dense[2, 3] = dense[3, 0] = 1.0
    return LAYOUTS[layout](dense)


class Product(nn.Module):
    def __init__(self, layout, multiply):
        super().__init__()
        self.register_buffer("matrix", matrix(layout), persistent=False)
        self.multiply = multiply

    def forward(self, inputs):
        return self.multiply(self.matrix, inputs)


PRODUCTS = {
    "mm": (torch.sparse.mm, 3 * 6),
    "operator": (lambda matrix, inputs: matrix @ inputs, 3 * 6),
    "vector": (lambda matrix, inputs: matrix @ inputs[:, 0], 3),
    "addmm": (lambda matrix, inputs: torch.sparse.addmm(torch.zeros(4, 6), matrix, inputs), 3 * 6),
    "transposed": (lambda matrix, inputs: matrix.t() @ torch.ones(4, 7), 3 * 7),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", PRODUCTS)
def test_stored_elements_count(layout, name):
    multiply, macs = PRODUCTS[name]
    analyzer = FlopAnalyzer(Product(layout, multiply), torch.ones(5, 6))
    assert analyzer.total() == macs
    assert not analyzer.unsupported_ops()
    assert analyzer.intensity() > 0


def test_two_sparse_matrices_count_the_pairs_that_meet():
    # Column 1 of the left holds one element and row 1 of the right two, column 3 and row 3 one each; column 0 meets none.
    right = torch.zeros(5, 5)
    right[1, 0] = right[1, 4] = right[3, 2] = right[4, 4] = 1.0
    analyzer = FlopAnalyzer(Product("coo", torch.sparse.mm), right.to_sparse())
    assert analyzer.total() == 3


def test_sparse_input_and_gradient():
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(5, 2))

        def forward(self, inputs):
            return torch.sparse.mm(inputs, self.weight)

    assert FlopAnalyzer(Weighted(), matrix("coo")).total() == 3 * 2
    assert FlopAnalyzer(Weighted(), matrix("coo"), backward=True).total() == 2 * 3 * 2
