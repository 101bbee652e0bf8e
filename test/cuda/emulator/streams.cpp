// libcuda: streams, events and graphs. Work on a stream waits until someone synchronises with it, as late as a device
// could run it, so that a forgotten wait shows; a stream that captures records it instead.
#include "emulator.h"
#include <chrono>
#include <deque>
#include <map>
#include <memory>

namespace {

using Clock = std::chrono::steady_clock;
using Work = std::function<void()>;

struct Graph {
  std::vector<Work> nodes;
  std::string broken; // the call that broke the capture
};

struct Stream {
  unsigned flags = 0;
  std::deque<std::pair<uint64_t, Work>> queue;
  uint64_t queued = 0, done = 0;
  std::shared_ptr<Graph> capture;
  int captureMode = 0;
  bool captureOrigin = false;
};

struct Event {
  Stream *stream = nullptr;
  uint64_t ticket = 0;
  std::shared_ptr<Graph> capture; // set when it was recorded inside a capture
  Clock::time_point time;
};

std::map<Stream *, std::unique_ptr<Stream>> streams;
std::map<Event *, std::unique_ptr<Event>> events;
std::map<Graph *, std::shared_ptr<Graph>> graphs, executables;
Stream defaultStream;

Stream *streamOf(void *handle) {
  if (!handle) return &defaultStream;
  auto found = streams.find((Stream *)handle);
  return found == streams.end() ? nullptr : found->first;
}

/** Runs what the stream holds up to a ticket. A work that waits for another stream drains that one first. */
void drain(Stream &stream, uint64_t ticket) {
  while (!stream.queue.empty() && stream.queue.front().first <= ticket) {
    auto [number, work] = std::move(stream.queue.front());
    stream.queue.pop_front();
    if (!sticky) work();
    stream.done = number;
  }
}

/** The default stream and the blocking streams wait for each other. */
void legacyOrder(Stream &stream) {
  if (&stream == &defaultStream) {
    for (auto &[other, owner] : streams)
      if (!(other->flags & 1)) drain(*other, UINT64_MAX);
  } else if (!(stream.flags & 1)) drain(defaultStream, UINT64_MAX);
}

} // namespace

Status afterDrain() { return sticky ? refuse(sticky, stickyMessage) : SUCCESS; }

void drainAll() {
  drain(defaultStream, UINT64_MAX);
  for (auto &[stream, owner] : streams) drain(*stream, UINT64_MAX);
}

/** Calls that a capture forbids break it, in every mode but the relaxed one. */
Status forbidWhileCapturing(const char *call) {
  for (auto &[stream, owner] : streams)
    if (stream->capture && stream->captureMode != 2) {
      stream->capture->broken = call;
      return refuse(CAPTURE_UNSUPPORTED, std::string(call) + " is not permitted while a stream captures");
    }
  return SUCCESS;
}

Status synchronise(void *handle, const char *call) {
  Stream *stream = streamOf(handle);
  if (!stream) return refuse(INVALID_HANDLE, std::string(call) + ": no such stream");
  if (stream->capture) {
    stream->capture->broken = call;
    return refuse(CAPTURE_UNSUPPORTED, std::string(call) + " on a stream that captures");
  }
  drain(*stream, UINT64_MAX);
  return afterDrain();
}

bool captures(void *handle) {
  Stream *stream = streamOf(handle);
  return stream && stream->capture;
}

void forgetStreams() {
  streams.clear();
  events.clear();
  graphs.clear();
  executables.clear();
  defaultStream = {};
}

Status enqueue(void *handle, Work work) {
  Stream *stream = streamOf(handle);
  if (!stream) return refuse(INVALID_HANDLE, "no such stream");
  if (stream->capture) {
    stream->capture->nodes.push_back(std::move(work));
    return SUCCESS;
  }
  legacyOrder(*stream);
  stream->queue.emplace_back(++stream->queued, std::move(work));
  return SUCCESS;
}

// ---- streams and events ----
EXPORT int cuStreamCreate(void **stream, unsigned flags) {
  LOCKED;
  auto owner = std::make_unique<Stream>();
  owner->flags = flags;
  *stream = owner.get();
  streams[owner.get()] = std::move(owner);
  return SUCCESS;
}
EXPORT int cuStreamDestroy_v2(void *stream) {
  LOCKED;
  if (!stream || !streamOf(stream)) return refuse(INVALID_HANDLE, "cuStreamDestroy: no such stream");
  drain(*(Stream *)stream, UINT64_MAX);
  for (auto &[event, owner] : events)
    if (event->stream == stream) event->stream = nullptr;
  streams.erase((Stream *)stream);
  return afterDrain();
}
EXPORT int cuStreamSynchronize(void *stream) {
  LOCKED;
  if (!stream) legacyOrder(defaultStream);
  return synchronise(stream, "cuStreamSynchronize");
}
EXPORT int cuEventCreate(void **event, unsigned) {
  LOCKED;
  auto owner = std::make_unique<Event>();
  *event = owner.get();
  events[owner.get()] = std::move(owner);
  return SUCCESS;
}
EXPORT int cuEventDestroy_v2(Event *event) {
  LOCKED;
  if (!events.count(event)) return refuse(INVALID_HANDLE, "cuEventDestroy: no such event");
  if (event->stream) drain(*event->stream, event->ticket);
  events.erase(event);
  return afterDrain();
}
EXPORT int cuEventRecord(Event *event, void *handle) {
  LOCKED;
  Stream *stream = streamOf(handle);
  if (!stream || !events.count(event)) return refuse(INVALID_HANDLE, "cuEventRecord: no such event or stream");
  event->capture = stream->capture;
  if (stream->capture) return SUCCESS;
  Status status = enqueue(handle, [event] {
    if (events.count(event)) event->time = Clock::now();
  });
  event->stream = stream;
  event->ticket = stream->queued;
  return status;
}
EXPORT int cuStreamWaitEvent(void *handle, Event *event, unsigned) {
  LOCKED;
  Stream *stream = streamOf(handle);
  if (!stream || !events.count(event)) return refuse(INVALID_HANDLE, "cuStreamWaitEvent: no such event or stream");
  if (event->capture) {
    if (stream->capture && stream->capture != event->capture) return refuse(CAPTURE_INVALIDATED, "two captures meet");
    stream->capture = event->capture; // the other stream joins the capture
    return SUCCESS;
  }
  if (stream->capture) return refuse(Status(905), "a captured stream waits for an event recorded outside the capture");
  if (!event->stream) return SUCCESS;
  Stream *other = event->stream;
  const uint64_t ticket = event->ticket;
  return enqueue(handle, [=] {
    if (other == &defaultStream || streams.count(other)) drain(*other, ticket);
  });
}
static Status forbidCaptured(Event *event) {
  if (!events.count(event)) return refuse(INVALID_HANDLE, "no such event");
  if (event->capture) return refuse(Status(907), "a query or wait for an event recorded in a capture");
  return SUCCESS;
}
EXPORT int cuEventSynchronize(Event *event) {
  LOCKED;
  if (Status status = forbidCaptured(event)) return status;
  if (event->stream) drain(*event->stream, event->ticket);
  return afterDrain();
}
/** Pending work is answered "not ready" once and then done. */
EXPORT int cuEventQuery(Event *event) {
  LOCKED;
  if (Status status = forbidCaptured(event)) return status;
  if (!event->stream || event->stream->done >= event->ticket) return SUCCESS;
  drain(*event->stream, event->ticket);
  return sticky ? afterDrain() : refuse(NOT_READY, "not ready");
}
EXPORT int cuEventElapsedTime(float *milliseconds, Event *from, Event *to) {
  LOCKED;
  for (Event *event : {from, to}) {
    if (Status status = forbidCaptured(event)) return status;
    if (!event->stream) return refuse(INVALID_HANDLE, "cuEventElapsedTime of an event never recorded");
    if (event->stream->done < event->ticket) return refuse(NOT_READY, "not ready");
  }
  *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
  return SUCCESS;
}
EXPORT int cuEventElapsedTime_v2(float *milliseconds, Event *from, Event *to) {
  return cuEventElapsedTime(milliseconds, from, to);
}

// ---- graphs ----
EXPORT int cuStreamBeginCapture_v2(void *handle, int mode) {
  LOCKED;
  Stream *stream = streamOf(handle);
  if (!handle || !stream) return refuse(CAPTURE_UNSUPPORTED, "the default stream cannot capture");
  if (stream->capture) return refuse(INVALID_VALUE, "the stream captures already");
  stream->capture = std::make_shared<Graph>();
  stream->captureMode = mode;
  stream->captureOrigin = true;
  return SUCCESS;
}
EXPORT int cuStreamEndCapture(void *handle, void **graph) {
  LOCKED;
  Stream *stream = streamOf(handle);
  if (!stream || !stream->capture) return refuse(INVALID_VALUE, "the stream does not capture");
  if (!stream->captureOrigin) return refuse(Status(908), "the capture began on another stream");
  std::shared_ptr<Graph> captured = stream->capture;
  for (auto &[other, owner] : streams)
    if (other->capture == captured) other->capture = nullptr;
  stream->captureOrigin = false;
  *graph = nullptr;
  if (!captured->broken.empty()) return refuse(CAPTURE_INVALIDATED, "the capture was broken by " + captured->broken);
  graphs[captured.get()] = captured;
  return *graph = captured.get(), SUCCESS;
}
EXPORT int cuGraphInstantiateWithFlags(void **executable, Graph *graph, unsigned long long) {
  LOCKED;
  if (!graphs.count(graph)) return refuse(INVALID_HANDLE, "no such graph");
  auto copy = std::make_shared<Graph>(*graph);
  executables[copy.get()] = copy;
  return *executable = copy.get(), SUCCESS;
}
EXPORT int cuGraphLaunch(Graph *executable, void *stream) {
  LOCKED;
  auto found = executables.find(executable);
  if (found == executables.end()) return refuse(INVALID_HANDLE, "no such executable graph");
  return enqueue(stream, [graph = found->second] {
    for (const Work &node : graph->nodes)
      if (!sticky) node();
  });
}
EXPORT int cuGraphExecDestroy(Graph *executable) {
  LOCKED;
  return executables.erase(executable) ? SUCCESS : refuse(INVALID_HANDLE, "no such executable graph");
}
EXPORT int cuGraphDestroy(Graph *graph) {
  LOCKED;
  return graphs.erase(graph) ? SUCCESS : refuse(INVALID_HANDLE, "no such graph");
}
