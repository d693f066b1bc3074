/* SPDX-License-Identifier: Apache-2.0
 * gRPC calls as spans: unary and streaming, with the synchronous and the callback
 * interface, good ones, failed ones and cancelled ones. */
#include "echo.grpc.pb.h"
#include "print_spans.h"

#include <clew/grpc.hpp>
#include <clew/log.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

/* Last: its macros have names that others use. */
extern "C" {
#include <setjmp.h>
#include <cmocka.h>
}

using clew::test::Echo;
using clew::test::Text;

/* Later is served by a reactor, the others by threads. */
class service final : public Echo::WithCallbackMethod_Later<Echo::Service>
{
    grpc::Status Say(grpc::ServerContext *context, const Text *in, Text *out) override
    {
        clew::grpc::server_scope scope(context);

        clew_info("said");
        out->set_text(in->text());
        if (in->text() == "missing")
            return {grpc::StatusCode::NOT_FOUND, "no such thing"};
        if (in->text() == "broken")
            return {grpc::StatusCode::INTERNAL, "broken"};
        return grpc::Status::OK;
    }

    grpc::Status Split(grpc::ServerContext *context, const Text *in,
                       grpc::ServerWriter<Text> *writer) override
    {
        clew::grpc::server_scope scope(context);

        for (char c : in->text()) {
            Text part;

            part.set_text(std::string(1, c));
            if (!writer->Write(part))
                return grpc::Status::CANCELLED;
        }
        clew_info("split");
        return grpc::Status::OK;
    }

    grpc::Status Join(grpc::ServerContext *context, grpc::ServerReader<Text> *reader,
                      Text *out) override
    {
        clew::grpc::server_scope scope(context);
        Text part;

        while (reader->Read(&part))
            out->set_text(out->text() + part.text());
        clew_info("joined");
        return grpc::Status::OK;
    }

    grpc::Status Talk(grpc::ServerContext *context,
                      grpc::ServerReaderWriter<Text, Text> *stream) override
    {
        clew::grpc::server_scope scope(context);
        Text part;

        while (stream->Read(&part))
            if (!stream->Write(part))
                break;
        clew_info("talked");
        return context->IsCancelled() ? grpc::Status::CANCELLED : grpc::Status::OK;
    }

    grpc::ServerUnaryReactor *Later(grpc::CallbackServerContext *context, const Text *in,
                                    Text *out) override
    {
        clew::grpc::server_scope scope(context);
        grpc::ServerUnaryReactor *reactor = context->DefaultReactor();

        clew_info("later");
        out->set_text(in->text());
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }
};

static Text text_of(const char *text)
{
    Text made;

    made.set_text(text);
    return made;
}

static int say(Echo::Stub &stub)
{
    grpc::ClientContext good, missing, broken;
    Text out;

    good.AddMetadata("traceparent", "stale");
    CHECK(stub.Say(&good, text_of("hello"), &out).ok() && out.text() == "hello");
    CHECK(good.GetServerInitialMetadata().count("x-request-id") == 1);
    CHECK(stub.Say(&missing, text_of("missing"), &out).error_code() == grpc::StatusCode::NOT_FOUND);
    CHECK(stub.Say(&broken, text_of("broken"), &out).error_code() == grpc::StatusCode::INTERNAL);
    return 0;
}

static int stream(Echo::Stub &stub)
{
    grpc::ClientContext split, join, talk, given_up;
    Text part, out;

    auto reader = stub.Split(&split, text_of("abc"));
    int n = 0;
    while (reader->Read(&part))
        n++;
    CHECK(n == 3 && reader->Finish().ok());
    auto writer = stub.Join(&join, &out);
    CHECK(writer->Write(text_of("a")) && writer->Write(text_of("b")) && writer->WritesDone());
    CHECK(writer->Finish().ok() && out.text() == "ab");
    auto both = stub.Talk(&talk);
    CHECK(both->Write(text_of("x")) && both->Read(&part) && both->WritesDone());
    CHECK(!both->Read(&part) && both->Finish().ok());
    auto cancelled = stub.Talk(&given_up);
    CHECK(cancelled->Write(text_of("x")) && cancelled->Read(&part));
    given_up.TryCancel();
    CHECK(cancelled->Finish().error_code() == grpc::StatusCode::CANCELLED);
    return 0;
}

static int calls(void *)
{
    service served;
    grpc::ServerBuilder builder;
    int port = 0;

    print_spans();
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&served);
    builder.experimental().SetInterceptorCreators(clew::grpc::server_interceptors());
    auto server = builder.BuildAndStart();
    CHECK(server);
    {
        auto channel = grpc::experimental::CreateCustomChannelWithInterceptors(
            "127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(),
            grpc::ChannelArguments(), clew::grpc::client_interceptors());
        auto stub = Echo::NewStub(channel);
        clew::span outer("outer");
        grpc::ClientContext later;
        Text out;

        CHECK(say(*stub) == 0);
        CHECK(stream(*stub) == 0);
        CHECK(stub->Later(&later, text_of("later"), &out).ok());
        CHECK(clew_scope_current().span_id == clew_span_scope(outer).span_id);
    }
    server->Shutdown();
    server->Wait();
    return 0;
}

static json_t *nth(const char *name, int kind, size_t n)
{
    for (size_t i = 0;; i++) {
        json_t *span = span_named(name, i);

        if (!span || (json_integer_value(json_object_get(span, "kind")) == kind && n-- == 0))
            return span;
    }
}

/* The server's span is the child of the client's, and the line is the server's. */
static void check_pair(const char *name, size_t n, const char *message)
{
    json_t *client = nth(name, CLEW_SPAN_CLIENT, n), *server = nth(name, CLEW_SPAN_SERVER, n);

    assert_non_null(client);
    assert_non_null(server);
    assert_string_equal(member(client, "scope"), "clew.grpc");
    assert_string_equal(member(client, "parent_id"), member(span_named("outer", 0), "span_id"));
    assert_string_equal(member(server, "trace_id"), member(client, "trace_id"));
    assert_string_equal(member(server, "parent_id"), member(client, "span_id"));
    assert_string_equal(span_attribute(client, "rpc.system.name"), "grpc");
    assert_string_equal(span_attribute(client, "rpc.method"), name);
    assert_string_equal(span_attribute(server, "rpc.method"), name);
    assert_string_equal(span_attribute(client, "server.address"), "127.0.0.1");
    assert_string_equal(span_attribute(server, "network.peer.address"), "127.0.0.1");
    if (n == 0)
        assert_string_equal(member(child_line(message), "span_id"), member(server, "span_id"));
}

static void check_status(const char *name, size_t n, int kind, const char *code, bool error)
{
    json_t *span = nth(name, kind, n);

    assert_string_equal(span_attribute(span, "rpc.status_code"), code);
    assert_string_equal(span_attribute(span, "error.type"), error ? code : "(none)");
    assert_int_equal(json_integer_value(json_object_get(span, "status")),
                     error ? CLEW_SPAN_ERROR : CLEW_SPAN_UNSET);
}

/* Calls of this status, as the server and the client count them. */
static void check_events(const char *method, const char *status, size_t n, bool error)
{
    std::string call = std::string(" service=clew.test.Echo method=") + method,
                end = call + " status=" + status + " duration_seconds=*";

    assert_int_equal(events_like("grpc call completed", ((error ? "ERROR" : "INFO") + end).c_str()),
                     n);
    assert_int_equal(events_like("grpc client call completed", ("DEBUG" + end).c_str()), n);
    assert_true(events_like("grpc call started", ("TRACE" + call).c_str()) >= n);
}

static void check_all_events()
{
    const char *span_id = member(nth("clew.test.Echo/Say", CLEW_SPAN_SERVER, 0), "span_id");

    check_events("Say", "OK", 1, false);
    check_events("Say", "NOT_FOUND", 1, false);
    check_events("Say", "INTERNAL", 1, true);
    check_events("Split", "OK", 1, false);
    check_events("Join", "OK", 1, false);
    check_events("Talk", "OK", 1, false);
    check_events("Talk", "CANCELLED", 1, false);
    check_events("Later", "OK", 1, false);
    for (const char *message :
         {"grpc call started", "grpc call completed", "grpc client call completed"})
        assert_int_equal(child_count(message), 8);
    assert_string_equal(member(child_line("grpc call completed"), "span_id"), span_id);
}

static void test_grpc_calls(void **)
{
    setenv("CLEW_LOG_LEVEL", "trace", 1);
    child_run(calls, nullptr);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    check_pair("clew.test.Echo/Say", 0, "said");
    check_pair("clew.test.Echo/Split", 0, "split");
    check_pair("clew.test.Echo/Join", 0, "joined");
    check_pair("clew.test.Echo/Talk", 0, "talked");
    check_pair("clew.test.Echo/Later", 0, "later");
    check_status("clew.test.Echo/Say", 0, CLEW_SPAN_CLIENT, "OK", false);
    check_status("clew.test.Echo/Say", 0, CLEW_SPAN_SERVER, "OK", false);
    check_status("clew.test.Echo/Say", 1, CLEW_SPAN_CLIENT, "NOT_FOUND", true);
    check_status("clew.test.Echo/Say", 1, CLEW_SPAN_SERVER, "NOT_FOUND", false);
    check_status("clew.test.Echo/Say", 2, CLEW_SPAN_CLIENT, "INTERNAL", true);
    check_status("clew.test.Echo/Say", 2, CLEW_SPAN_SERVER, "INTERNAL", true);
    check_status("clew.test.Echo/Talk", 1, CLEW_SPAN_CLIENT, "CANCELLED", true);
    check_status("clew.test.Echo/Talk", 1, CLEW_SPAN_SERVER, "CANCELLED", false);
    check_all_events();
    assert_true(spans_follow_conventions());
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_grpc_calls, child_setup, child_teardown),
    };

    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
