/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/grpc.hpp: gRPC calls as spans, on both sides (gRPC C++ 1.30 and later).
 *
 * Header-only, so that libclew needs no gRPC. The server:
 *
 *     builder.experimental().SetInterceptorCreators(clew::grpc::server_interceptors());
 *
 *     grpc::Status Get(grpc::ServerContext *context, …) override
 *     {
 *         clew::grpc::server_scope scope(context); // lines and spans belong to the call
 *         …
 *     }
 *
 * and the client, whose calls are children of the scope they are made in:
 *
 *     auto channel = grpc::experimental::CreateCustomChannelWithInterceptors(
 *         target, credentials, arguments, clew::grpc::client_interceptors());
 *
 * The synchronous, the asynchronous and the callback interfaces, unary and
 * streaming calls. A server's span lasts until the handler has given its status,
 * a client's until it has received it. Lists of interceptors of the program's
 * own can be added to.
 *
 * Each call is the event "grpc call completed", at a client "grpc client call
 * completed" (level debug), with service, method, status and duration_seconds;
 * "grpc call started" (level trace) goes before the former. Metrics are derived
 * from them (<clew/rules.h>).
 */
#ifndef CLEW_GRPC_HPP
#define CLEW_GRPC_HPP

#include <clew/trace.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_interceptor.h>
#include <grpcpp/support/server_interceptor.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace clew
{
namespace grpc
{
namespace detail
{
using ::grpc::experimental::InterceptionHookPoints;
using ::grpc::experimental::InterceptorBatchMethods;

inline const char *status_name(::grpc::StatusCode code)
{
    static const char *const names[] = {"OK",
                                        "CANCELLED",
                                        "UNKNOWN",
                                        "INVALID_ARGUMENT",
                                        "DEADLINE_EXCEEDED",
                                        "NOT_FOUND",
                                        "ALREADY_EXISTS",
                                        "PERMISSION_DENIED",
                                        "RESOURCE_EXHAUSTED",
                                        "FAILED_PRECONDITION",
                                        "ABORTED",
                                        "OUT_OF_RANGE",
                                        "UNIMPLEMENTED",
                                        "INTERNAL",
                                        "UNAVAILABLE",
                                        "DATA_LOSS",
                                        "UNAUTHENTICATED"};
    auto n = static_cast<size_t>(code);

    return n < sizeof(names) / sizeof(names[0]) ? names[n] : "_OTHER";
}

/* Of a server only these are its own fault. */
inline bool is_server_error(::grpc::StatusCode code)
{
    switch (code) {
    case ::grpc::StatusCode::UNKNOWN:
    case ::grpc::StatusCode::DEADLINE_EXCEEDED:
    case ::grpc::StatusCode::UNIMPLEMENTED:
    case ::grpc::StatusCode::INTERNAL:
    case ::grpc::StatusCode::UNAVAILABLE:
    case ::grpc::StatusCode::DATA_LOSS:
        return true;
    default:
        return false;
    }
}

/* "/package.Service/Method" without its slash. */
inline const char *method_name(const char *method)
{
    return method && *method == '/' ? method + 1 : method ? method : "_OTHER";
}

/* The parts of "ipv4:127.0.0.1:80", "ipv6:%5B::1%5D:80", "ipv6:[::1]:80", "unix:/path". */
struct peer {
    std::string address;
    int port = 0;

    explicit peer(const std::string &uri)
    {
        size_t colon = uri.find(':'), last = uri.rfind(':');

        if (colon == std::string::npos)
            return;
        if (uri.compare(0, 3, "ipv") != 0 || last == colon) {
            address = uri.substr(colon + 1);
            return;
        }
        address = uri.substr(colon + 1, last - colon - 1);
        port = std::atoi(uri.c_str() + last + 1);
        for (const char *bracket : {"%5B", "%5D", "[", "]"}) {
            size_t at = address.find(bracket);

            if (at != std::string::npos)
                address.erase(at, std::string(bracket).size());
        }
    }
};

inline struct clew_span *start(const char *method, enum clew_span_kind kind,
                               struct clew_scope parent, bool remote)
{
    struct clew_span_options options = {};
    const char *name = method_name(method);
    struct clew_span *span;

    options.parent = parent;
    options.remote = remote;
    options.kind = kind;
    options.scope = "clew.grpc";
    span = clew_span_start_with(name, &options);
    clew_span_set(span, clew_kv("rpc.system.name", "grpc"), clew_kv("rpc.method", name));
    return span;
}

inline void end(struct clew_span *span, ::grpc::StatusCode code, bool error)
{
    clew_span_set(span, clew_kv("rpc.status_code", status_name(code)));
    if (error) {
        clew_span_set(span, clew_kv("error.type", status_name(code)));
        clew_span_set_status(span, CLEW_SPAN_ERROR, nullptr);
    }
    clew_span_end(span);
}

/* "package.Service" and "Method", and since when it runs. */
class call_event
{
  public:
    explicit call_event(const char *method)
        : method_(method_name(method)), started_(std::chrono::steady_clock::now())
    {
        size_t slash = method_.rfind('/');

        if (slash == std::string::npos)
            return;
        service_ = method_.substr(0, slash);
        method_.erase(0, slash + 1);
    }

    void log_started(struct clew_scope scope) const
    {
        struct clew_scope previous = clew_scope_enter(scope);

        clew_trace("grpc call started", clew_kv("service", service_), clew_kv("method", method_));
        clew_scope_leave(previous);
    }

    void log_served(struct clew_scope scope, ::grpc::StatusCode code) const
    {
        struct clew_scope previous = clew_scope_enter(scope);

        if (is_server_error(code))
            clew_error("grpc call completed", clew_kv("service", service_),
                       clew_kv("method", method_), clew_kv("status", status_name(code)),
                       clew_kv("duration_seconds", seconds()));
        else
            clew_info("grpc call completed", clew_kv("service", service_),
                      clew_kv("method", method_), clew_kv("status", status_name(code)),
                      clew_kv("duration_seconds", seconds()));
        clew_scope_leave(previous);
    }

    void log_made(struct clew_scope scope, ::grpc::StatusCode code) const
    {
        struct clew_scope previous = clew_scope_enter(scope);

        clew_debug("grpc client call completed", clew_kv("service", service_),
                   clew_kv("method", method_), clew_kv("status", status_name(code)),
                   clew_kv("duration_seconds", seconds()));
        clew_scope_leave(previous);
    }

  private:
    double seconds() const
    {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    }

    std::string service_, method_;
    std::chrono::steady_clock::time_point started_;
};

using metadata = std::multimap<std::string, std::string>;

/* Keys of metadata are lower case. */
inline void add_metadata(void *arg, const char *name, const char *value)
{
    auto *to = static_cast<metadata *>(arg);
    std::string key(name);

    for (char &c : key)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c + ('a' - 'A'));
    to->erase(key);
    to->emplace(std::move(key), value);
}

/* ---- server ------------------------------------------------------------------- */

class server_call;

/* The calls that handlers may ask for by their context. */
struct registry {
    std::mutex mutex;
    std::unordered_map<const ::grpc::ServerContextBase *, server_call *> calls;

    static registry &get()
    {
        static registry *the = new registry; /* gRPC's threads may outlive main() */
        return *the;
    }
};

class server_call : public ::grpc::experimental::Interceptor
{
  public:
    explicit server_call(::grpc::experimental::ServerRpcInfo *info) : info_(info)
    {
        registry &all = registry::get();
        std::lock_guard<std::mutex> lock(all.mutex);

        all.calls[info->server_context()] = this;
    }

    ~server_call() override
    {
        {
            registry &all = registry::get();
            std::lock_guard<std::mutex> lock(all.mutex);
            auto found = all.calls.find(info_->server_context());

            if (found != all.calls.end() && found->second == this)
                all.calls.erase(found);
        }
        finish(::grpc::StatusCode::CANCELLED); /* no status was given */
        clew_scope_release(scope_);
    }

    void Intercept(InterceptorBatchMethods *methods) override
    {
        if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA))
            begin(methods->GetRecvInitialMetadata());
        if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA))
            echo(methods->GetSendInitialMetadata());
        if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS))
            finish(methods->GetSendStatus().error_code());
        methods->Proceed();
    }

    /* With a reference of its own. */
    struct clew_scope scope() const
    {
        (void)clew_context_ref(scope_.context);
        return scope_;
    }

  private:
    void begin(const std::multimap<::grpc::string_ref, ::grpc::string_ref> *received)
    {
        struct clew_extract extract;
        bool remote = false;

        if (scope_.context)
            return;
        clew_extract_init(&extract);
        if (received)
            for (const auto &entry : *received)
                clew_extract_header(&extract, entry.first.data(), entry.first.size(),
                                    entry.second.data(), entry.second.size());
        scope_ = clew_extract_context(&extract, &remote);
        if (!scope_.context)
            return;
        span_ = start(info_->method(), CLEW_SPAN_SERVER, scope_, remote);
        if (span_)
            scope_.span_id = clew_span_scope(span_).span_id;
        event_.reset(new call_event(info_->method()));
        event_->log_started(scope_);
        if (!clew_span_is_recording(span_))
            return;
        peer client(info_->server_context()->peer());
        const char *ids[1] = {clew_context_request_id(scope_.context)};
        clew_span_set(span_, clew_kv("client.address", client.address),
                      clew_kv("network.peer.address", client.address),
                      clew_array("rpc.request.metadata.x-request-id", ids, 1));
        if (client.port > 0)
            clew_span_set(span_, clew_kv("network.peer.port", client.port));
    }

    void echo(metadata *sent) const
    {
        if (!sent || !scope_.context)
            return;
        add_metadata(sent, "x-request-id", clew_context_request_id(scope_.context));
        add_metadata(sent, "x-correlation-id", clew_context_correlation_id(scope_.context));
    }

    void finish(::grpc::StatusCode code)
    {
        if (event_)
            event_->log_served(scope_, code);
        event_.reset();
        end(span_, code, is_server_error(code));
        span_ = nullptr;
    }

    ::grpc::experimental::ServerRpcInfo *info_;
    struct clew_scope scope_ = {nullptr, 0};
    struct clew_span *span_ = nullptr;
    std::unique_ptr<call_event> event_; /* while the call runs */
};

class server_factory : public ::grpc::experimental::ServerInterceptorFactoryInterface
{
  public:
    ::grpc::experimental::Interceptor *
    CreateServerInterceptor(::grpc::experimental::ServerRpcInfo *info) override
    {
        return new server_call(info);
    }
};

/* ---- client ------------------------------------------------------------------- */

class client_call : public ::grpc::experimental::Interceptor
{
  public:
    explicit client_call(::grpc::experimental::ClientRpcInfo *info)
        : info_(info), span_(start(info->method(), CLEW_SPAN_CLIENT, {nullptr, 0}, false)),
          scope_(clew_span_scope(span_)), event_(new call_event(info->method()))
    {
        (void)clew_context_ref(scope_.context);
    }

    ~client_call() override
    {
        finish(::grpc::StatusCode::CANCELLED); /* nobody asked for the status */
        clew_scope_release(scope_);
    }

    void Intercept(InterceptorBatchMethods *methods) override
    {
        if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA))
            clew_inject(scope_, add_metadata, methods->GetSendInitialMetadata());
        if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_STATUS)) {
            set_peer();
            finish(methods->GetRecvStatus()->error_code());
        }
        methods->Proceed();
    }

  private:
    void set_peer()
    {
        if (!clew_span_is_recording(span_))
            return;
        peer server(info_->client_context()->peer());
        if (server.address.empty())
            return;
        clew_span_set(span_, clew_kv("server.address", server.address),
                      clew_kv("network.peer.address", server.address));
        if (server.port > 0)
            clew_span_set(span_, clew_kv("server.port", server.port),
                          clew_kv("network.peer.port", server.port));
    }

    void finish(::grpc::StatusCode code)
    {
        if (event_)
            event_->log_made(scope_, code);
        event_.reset();
        end(span_, code, code != ::grpc::StatusCode::OK);
        span_ = nullptr;
    }

    ::grpc::experimental::ClientRpcInfo *info_;
    struct clew_span *span_;
    struct clew_scope scope_;
    std::unique_ptr<call_event> event_; /* while the call runs */
};

class client_factory : public ::grpc::experimental::ClientInterceptorFactoryInterface
{
  public:
    ::grpc::experimental::Interceptor *
    CreateClientInterceptor(::grpc::experimental::ClientRpcInfo *info) override
    {
        return new client_call(info);
    }
};
} // namespace detail

/* For ServerBuilder::experimental().SetInterceptorCreators(). */
inline std::vector<std::unique_ptr<::grpc::experimental::ServerInterceptorFactoryInterface>>
server_interceptors()
{
    std::vector<std::unique_ptr<::grpc::experimental::ServerInterceptorFactoryInterface>> all;

    all.emplace_back(new detail::server_factory);
    return all;
}

/* For CreateCustomChannelWithInterceptors(). */
inline std::vector<std::unique_ptr<::grpc::experimental::ClientInterceptorFactoryInterface>>
client_interceptors()
{
    std::vector<std::unique_ptr<::grpc::experimental::ClientInterceptorFactoryInterface>> all;

    all.emplace_back(new detail::client_factory);
    return all;
}

/* The scope of a call is current in this thread as long as the object lives,
 * which is made and destroyed in one thread, the last made first. In the
 * callback and asynchronous interfaces each callback makes its own. Without the
 * interceptor it does nothing. */
class server_scope
{
  public:
    explicit server_scope(const ::grpc::ServerContextBase *context)
    {
        detail::registry &all = detail::registry::get();
        {
            std::lock_guard<std::mutex> lock(all.mutex);
            auto found = all.calls.find(context);

            if (found != all.calls.end())
                scope_ = found->second->scope();
        }
        previous_ = clew_scope_enter(scope_.context ? scope_ : clew_scope_current());
    }
    ~server_scope()
    {
        clew_scope_leave(previous_);
        clew_scope_release(scope_);
    }
    server_scope(const server_scope &) = delete;
    server_scope &operator=(const server_scope &) = delete;

  private:
    struct clew_scope scope_ = {nullptr, 0};
    struct clew_scope previous_;
};
} // namespace grpc
} // namespace clew

#endif
