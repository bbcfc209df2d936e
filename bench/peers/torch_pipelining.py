"""torch.distributed.pipelining, two processes over gloo: python torch_pipelining.py MODEL DIRECTORY.

The first process speaks the protocol of `serve.mjs`, tells the second what it was told, and holds the first stage. The cut is
the one with the least time in the slower half, measured on one thread.
"""
import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'models'))
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe  # noqa: E402
import torch_models as models  # noqa: E402

SCHEDULES = {'1f1b': Schedule1F1B, 'gpipe': ScheduleGPipe}


def best_cut(name, directory):
    """Times every module forward and backward and returns where the slower half is fastest."""
    spec, modules, weights = models.build(name)
    models.load_first_weights([entry for own in weights for entry in own], directory)
    x, _ = models.load_batches(spec, directory)[0]
    costs = []
    for module in modules:
        best = float('inf')
        for _ in range(4):
            given = x.detach()
            if given.is_floating_point():
                given.requires_grad_(True)
            start = time.perf_counter()
            y = module(given)
            y.backward(torch.ones_like(y))
            best = min(best, time.perf_counter() - start)
        costs.append(best)
        x = y
    return min(range(1, len(costs)), key=lambda cut: max(sum(costs[:cut]), sum(costs[cut:])))


class Contiguous(nn.Module):
    """At both sides of the cut: gloo sends contiguous tensors alone, activations and gradients."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.contiguous()

        @staticmethod
        def backward(ctx, gradient):
            return gradient.contiguous()

    def forward(self, x):
        return self.Function.apply(x)


class Job:
    def __init__(self, rank, name, directory, cut, optimizer, schedule, micro_batches):
        self.rank = rank
        self.spec, modules, weights = models.build(name)
        mine = slice(0, cut) if rank == 0 else slice(cut, len(modules))
        self.weights = [entry for own in weights[mine] for entry in own]
        models.load_first_weights(self.weights, directory)
        own = modules[mine]
        model = nn.Sequential(*own, Contiguous()) if rank == 0 else nn.Sequential(Contiguous(), *own)
        stage = PipelineStage(model, rank, 2, torch.device('cpu'))
        self.schedule = SCHEDULES[schedule](stage, micro_batches, loss_fn=models.loss_of(self.spec))
        self.batches = models.load_batches(self.spec, directory)
        self.optimizer = models.optimizer_of(model, optimizer)
        self.position = 0

    def step(self):
        x, y = self.batches[self.position % len(self.batches)]
        self.position += 1
        self.optimizer.zero_grad()
        if self.rank == 0:
            self.schedule.step(x)
        else:
            self.schedule.step(target=y)
        self.optimizer.step()


def handle(request, rank, name, directory, cut, jobs):
    if request['command'] == 'check':
        job = Job(rank, name, directory, cut, 'sgd', 'gpipe', 1)
        for _ in range(3):
            job.step()
        parts = [None, None]
        dist.all_gather_object(parts, models.tfjs_weights(job.weights))
        if rank == 0:
            models.write_arrays(directory, request['as'], {**parts[0], **parts[1]})
        return {}
    if request['command'] == 'time':
        key = (request['schedule'], request['microBatches'])
        if key not in jobs:
            jobs[key] = Job(rank, name, directory, cut, 'adam', *key)
        dist.barrier()
        start = time.perf_counter()
        for _ in range(request['steps']):
            jobs[key].step()
        dist.barrier()
        return {'ms': (time.perf_counter() - start) * 1e3}
    return {}


def run(rank, name, directory, rendezvous):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2)
    cut = [best_cut(name, directory) if rank == 0 else None]
    dist.broadcast_object_list(cut)
    jobs = {}
    while True:
        request = [None]
        if rank == 0:
            line = sys.stdin.readline()
            request = [json.loads(line) if line else {'command': 'end'}]
        dist.broadcast_object_list(request)
        if request[0]['command'] == 'end':
            break
        try:
            reply = handle(request[0], rank, name, directory, cut[0], jobs)
        except Exception as error:  # the parent prints it
            reply = {'error': f'{type(error).__name__}: {error}'}
        if rank == 0:
            print('@@' + json.dumps(reply), flush=True)
    dist.destroy_process_group()


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as scratch:
        arguments = (*sys.argv[1:3], os.path.join(scratch, 'rendezvous'))
        other = mp.get_context('spawn').Process(target=run, args=(1, *arguments), daemon=True)
        other.start()
        run(0, *arguments)
        other.join()
