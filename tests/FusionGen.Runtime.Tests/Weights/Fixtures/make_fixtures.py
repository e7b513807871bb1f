"""Makes the files of this folder with PyTorch and NumPy themselves (1.13 and 1.24 when they were made)."""
import collections
import numpy as np
import torch

x = (torch.arange(24, dtype=torch.float32).reshape(4, 6) - 12) / 8
state = collections.OrderedDict()
state["f32"] = x
state["f64"] = x.double()
state["f16"] = x.half()
state["bf16"] = x.bfloat16()
state["transposed"] = x.t()
state["column"] = x[:, 2]
state["rows"] = x[1:3]
state["expanded"] = x[0, :1].expand(3, 5)
state["scalar"] = torch.tensor(2.5)
state["empty"] = torch.zeros(0, 3)
state["parameter"] = torch.nn.Parameter(x[:2].clone())
state["count"] = torch.tensor(7)
state._metadata = collections.OrderedDict({"": {"version": 1}})
checkpoint = {"epoch": 3, "arch": "vit", "lr": 1e-3, "done": True, "none": None, "sizes": (1, 2), "names": ["a", "b"], "big": 1 << 80, "model": state,
              "optimizer": {"state": {0: {"step": 4, "exp_avg": x + 1}}, "param_groups": [{"lr": 0.1, "params": [0]}]}}
torch.save(checkpoint, "torch-zip.pth")
torch.save(checkpoint, "torch-legacy.pth", _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(2, 2), "module.pth")
arrays = {"f32": x.numpy(), "f64": x.double().numpy(), "f16": x.half().numpy(), "fortran": np.asfortranarray(x.numpy()), "scalar": np.float32(2.5),
          "empty": np.zeros((0, 3), np.float32), "count": np.int64(7), "deep/name": np.asfortranarray(x.numpy().reshape(2, 2, 6)),
          "bf16": x.bfloat16().view(torch.int16).numpy().view("V2")}
np.savez("numpy.npz", **arrays)
np.savez_compressed("numpy-compressed.npz", **arrays)
np.savez("objects.npz", a=np.array([{}, 1], dtype=object))
