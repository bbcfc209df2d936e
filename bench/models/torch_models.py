"""The models of `specs.json` as PyTorch modules, one a layer, with tfjs's first weights.

Convolutions with 'same' padding and a stride put the odd row of padding at the end in TensorFlow and, with PyTorch's symmetric
padding, at the beginning. Images and filters are therefore flipped here: the numbers are then the same, at no cost.
"""
import json
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(DIRECTORY, 'specs.json'), encoding='utf8') as file:
    SPECS = json.load(file)


def read_arrays(directory, name):
    with open(os.path.join(directory, f'{name}.json'), encoding='utf8') as file:
        manifest = json.load(file)
    data = np.fromfile(os.path.join(directory, f'{name}.bin'), dtype='<f4')
    arrays, offset = {}, 0
    for entry in manifest:
        size = int(np.prod(entry['shape']))
        arrays[entry['name']] = data[offset:offset + size].reshape(entry['shape']).copy()
        offset += size
    return arrays


def write_arrays(directory, name, arrays):
    manifest = [{'name': key, 'shape': list(value.shape)} for key, value in arrays.items()]
    with open(os.path.join(directory, f'{name}.bin'), 'wb') as file:
        for value in arrays.values():
            file.write(np.ascontiguousarray(value, dtype='<f4').tobytes())
    with open(os.path.join(directory, f'{name}.json'), 'w', encoding='utf8') as file:
        json.dump(manifest, file)


# Between tfjs's layout of a weight and torch's: (to torch, to tfjs).
SAME = (lambda a: a, lambda a: a)
TRANSPOSED = (lambda a: a.T, lambda a: a.T)
FILTER = (
    lambda a: a[::-1, ::-1].transpose(3, 2, 0, 1),
    lambda a: a.transpose(2, 3, 1, 0)[::-1, ::-1],
)
# [height, width, channels, 1] and [channels, 1, height, width]
DEPTHWISE = (
    lambda a: a[::-1, ::-1].transpose(2, 3, 0, 1),
    lambda a: a.transpose(2, 3, 0, 1)[::-1, ::-1],
)
FILTER_1D = (lambda a: a.transpose(2, 1, 0), lambda a: a.transpose(2, 1, 0))


class Activated(nn.Module):
    def __init__(self, inner, activation):
        super().__init__()
        self.inner = inner
        self.activation = activation

    def forward(self, x):
        y = self.inner(x)
        return F.relu(y) if self.activation == 'relu' else y


class Sequence(nn.Module):
    """Embeddings and 1-D convolutions: torch convolves [batch, channels, time]."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return F.relu(self.inner(x.transpose(1, 2)).transpose(1, 2))


class Lstm(nn.Module):
    def __init__(self, inputs, units, sequences):
        super().__init__()
        self.inner = nn.LSTM(inputs, units, batch_first=True)
        # tfjs has one bias; torch's second one would learn as well.
        nn.init.zeros_(self.inner.bias_hh_l0)
        self.inner.bias_hh_l0.requires_grad_(False)
        self.sequences = sequences

    def forward(self, x):
        y, _ = self.inner(x)
        return y if self.sequences else y[:, -1]


class Positions(nn.Module):
    def __init__(self, time, width):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(time, width))

    def forward(self, x):
        return x + self.table


class Encoder(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-3)
        self.projection = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-3)
        self.wide = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x):
        batch, time, width = x.shape
        q, k, v = self.projection(self.norm1(x)).reshape(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, time, width)
        x = x + self.output(mixed)
        return x + self.narrow(F.relu(self.wide(self.norm2(x))))


class Reduce(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        if self.kind == 'globalAverage2d':
            return x.mean((2, 3))
        return x.mean(1) if self.kind == 'globalAverage1d' else x.amax(1)


def build(name):
    """Returns the spec, a list of modules, and for each the tfjs weights that its parameters stand for."""
    spec = SPECS[name]
    shape = list(spec['input'])
    modules, weights = [], []
    for index, layer in enumerate(spec['layers']):
        kind, at = layer['kind'], f'l{index}'
        own = []
        if kind == 'dense':
            inner = nn.Linear(shape[-1], layer['units'])
            module = Activated(inner, layer['activation'])
            own = [(f'{at}/0', inner.weight, TRANSPOSED), (f'{at}/1', inner.bias, SAME)]
            shape = [layer['units']]
        elif kind == 'conv':
            # tfjs flips to torch's padding: half of the larger side first.
            stride = layer['stride']
            outputs = [-(-size // stride) for size in shape[:2]]
            totals = [max((o - 1) * stride + k - size, 0) for o, k, size in zip(outputs, layer['kernel'], shape)]
            padding = [-(-total // 2) for total in totals]
            inner = nn.Conv2d(shape[2], layer['filters'], layer['kernel'], stride, padding, bias=layer.get('bias', False))
            module = Activated(inner, layer.get('activation'))
            own = [(f'{at}/0', inner.weight, FILTER)]
            if inner.bias is not None:
                own.append((f'{at}/1', inner.bias, SAME))
            shape = [*outputs, layer['filters']]
        elif kind == 'depthwise':
            inner = nn.Conv2d(shape[2], shape[2], layer['kernel'], 1, 1, groups=shape[2], bias=False)
            module, own = inner, [(f'{at}/0', inner.weight, DEPTHWISE)]
        elif kind == 'conv1d':
            inner = nn.Conv1d(shape[1], layer['filters'], layer['kernel'])
            module = Sequence(inner)
            own = [(f'{at}/0', inner.weight, FILTER_1D), (f'{at}/1', inner.bias, SAME)]
            shape = [shape[0] - layer['kernel'] + 1, layer['filters']]
        elif kind == 'batchNorm':
            module = nn.BatchNorm2d(shape[2], eps=1e-3, momentum=0.01)
            own = [(f'{at}/0', module.weight, SAME), (f'{at}/1', module.bias, SAME)]
        elif kind == 'relu':
            module = nn.ReLU()
        elif kind == 'embedding':
            module = nn.Embedding(layer['vocabulary'], layer['width'])
            own = [(f'{at}/0', module.weight, SAME)]
            shape = [*shape, layer['width']]
        elif kind == 'positions':
            module = Positions(*shape)
            own = [(f'{at}/0', module.table, SAME)]
        elif kind == 'lstm':
            module = Lstm(shape[1], layer['units'], layer['sequences'])
            inner = module.inner
            own = [
                (f'{at}/0', inner.weight_ih_l0, TRANSPOSED),
                (f'{at}/1', inner.weight_hh_l0, TRANSPOSED),
                (f'{at}/2', inner.bias_ih_l0, SAME),
            ]
            shape = [shape[0], layer['units']] if layer['sequences'] else [layer['units']]
        elif kind == 'encoder':
            module = Encoder(shape[1], layer['heads'], layer['hidden'])
            for part in ('norm1', 'norm2'):
                norm = getattr(module, part)
                own += [(f'{at}_{part}/0', norm.weight, SAME), (f'{at}_{part}/1', norm.bias, SAME)]
            for part, first in (('projection', 0), ('output', 2)):
                linear = getattr(module, part)
                own += [
                    (f'{at}_attention/{first}', linear.weight, TRANSPOSED),
                    (f'{at}_attention/{first + 1}', linear.bias, SAME),
                ]
            for part in ('wide', 'narrow'):
                linear = getattr(module, part)
                own += [(f'{at}_{part}/0', linear.weight, TRANSPOSED), (f'{at}_{part}/1', linear.bias, SAME)]
        elif kind in ('globalAverage2d', 'globalAverage1d', 'globalMax1d'):
            module = Reduce(kind)
            shape = [shape[-1]]
        else:
            raise ValueError(f'specs.json names a layer of unknown kind {kind}')
        modules.append(module)
        weights.append(own)
    return spec, modules, weights


def load_first_weights(weights, directory):
    arrays = read_arrays(directory, 'weights')
    with torch.no_grad():
        for key, parameter, (to_torch, _) in weights:
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(to_torch(arrays[key]))))


def tfjs_weights(weights):
    return {key: to_tfjs(parameter.detach().numpy()) for key, parameter, (_, to_tfjs) in weights}


def load_batches(spec, directory):
    """Mini-batches as (x, y) in torch's layouts, with classes as numbers."""
    arrays = read_arrays(directory, 'samples')
    x, y = arrays['x'], arrays['y']
    if len(spec['input']) == 3:
        x = x[:, ::-1, ::-1].transpose(0, 3, 1, 2)
    x = torch.from_numpy(np.ascontiguousarray(x))
    if 'vocabulary' in spec:
        x = x.long()
    y = torch.from_numpy(y)
    if 'classes' in spec:
        y = y.argmax(1)
    size = spec['batch']
    return [(x[i:i + size].contiguous(), y[i:i + size].contiguous()) for i in range(0, len(x), size)]


def loss_of(spec):
    return F.cross_entropy if 'classes' in spec else F.mse_loss


def optimizer_of(module, kind):
    parameters = [p for p in module.parameters() if p.requires_grad]
    # tfjs's epsilon; the learning rate of the check is that of `state.mjs`.
    return torch.optim.SGD(parameters, lr=0.002) if kind == 'sgd' else torch.optim.Adam(parameters, eps=1e-7)
