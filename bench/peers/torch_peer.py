"""PyTorch in one process: python torch_peer.py THREADS MODEL DIRECTORY. Speaks the protocol of `serve.mjs`."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'models'))
import torch  # noqa: E402
from torch import nn  # noqa: E402
import torch_models as models  # noqa: E402

threads, name, directory = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(threads)


class Job:
    def __init__(self, optimizer):
        self.spec, modules, weights = models.build(name)
        self.weights = [entry for own in weights for entry in own]
        models.load_first_weights(self.weights, directory)
        self.model = nn.Sequential(*modules)
        self.batches = models.load_batches(self.spec, directory)
        self.loss = models.loss_of(self.spec)
        self.optimizer = models.optimizer_of(self.model, optimizer)
        self.position = 0

    def step(self):
        x, y = self.batches[self.position % len(self.batches)]
        self.position += 1
        self.optimizer.zero_grad()
        self.loss(self.model(x), y).backward()
        self.optimizer.step()


timed = None
for line in sys.stdin:
    request = json.loads(line)
    reply = {}
    try:
        if request['command'] == 'check':
            job = Job('sgd')
            for _ in range(3):
                job.step()
            models.write_arrays(directory, request['as'], models.tfjs_weights(job.weights))
        elif request['command'] == 'time':
            timed = timed or Job('adam')
            start = time.perf_counter()
            for _ in range(request['steps']):
                timed.step()
            reply = {'ms': (time.perf_counter() - start) * 1e3}
    except Exception as error:  # the parent prints it
        reply = {'error': f'{type(error).__name__}: {error}'}
    print('@@' + json.dumps(reply), flush=True)
