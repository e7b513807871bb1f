// CUDA graphs. Everything else on CUDA comes with the dispatcher; these need CUDA's own headers.
#include "shim.h"
#ifdef FUSIONGEN_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <memory>
#endif

using namespace fusiongen;

#ifdef FUSIONGEN_CUDA
namespace {

struct Recording {
  at::cuda::CUDAGraph graph;
  c10::cuda::CUDAStream before;
  c10::DeviceIndex device;  // the current one before

  void restore() const {
    c10::cuda::setCurrentCUDAStream(before);
    c10::cuda::set_device(device);
  }
};

}  // namespace

FG_EXPORT int32_t fg_cuda_graphs() { return 1; }

// CUDA records no default stream, so one of its own becomes the current one until the end.
FG_EXPORT int32_t fg_cuda_graph_begin(int32_t index, void** out) {
  return guarded([&] {
    const auto device = static_cast<c10::DeviceIndex>(c10::cuda::current_device());
    if (index >= 0)
      c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
    auto recording = std::unique_ptr<Recording>(new Recording{{}, c10::cuda::getCurrentCUDAStream(), device});
    c10::cuda::device_synchronize();
    c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool());
    try {
      recording->graph.capture_begin();
    } catch (...) {
      recording->restore();
      throw;
    }
    *out = recording.release();
  });
}

FG_EXPORT int32_t fg_cuda_graph_end(void* handle) {
  auto& recording = *static_cast<Recording*>(handle);
  const auto status = guarded([&] { recording.graph.capture_end(); });
  return guarded([&] { recording.restore(); }) | status;
}

FG_EXPORT int32_t fg_cuda_graph_replay(void* handle) {
  return guarded([&] { static_cast<Recording*>(handle)->graph.replay(); });
}

FG_EXPORT void fg_cuda_graph_release(void* handle) {
  delete static_cast<Recording*>(handle);
}
#else
FG_EXPORT int32_t fg_cuda_graphs() { return 0; }

FG_EXPORT int32_t fg_cuda_graph_begin(int32_t, void**) {
  return guarded([] { TORCH_CHECK(false, "the shim was built without CUDA's headers"); });
}

FG_EXPORT int32_t fg_cuda_graph_end(void*) { return 1; }

FG_EXPORT int32_t fg_cuda_graph_replay(void*) { return 1; }

FG_EXPORT void fg_cuda_graph_release(void*) {}
#endif
