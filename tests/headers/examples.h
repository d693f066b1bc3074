/* SPDX-License-Identifier: Apache-2.0
 * What the READMEs' examples use without saying where it comes from. */
#include <clew/export.h>

#if defined(EXAMPLE_CPP)
#include <clew/grpc.hpp>

extern grpc::ServerBuilder builder;
extern grpc::CallbackServerContext *context;
extern std::string target;
extern std::shared_ptr<grpc::ChannelCredentials> credentials;
using grpc::experimental::CreateCustomChannelWithInterceptors;
#else
#include <clew/curl.h>
#include <clew/hiredis.h>
#include <clew/libpq.h>
#include <clew/logger.h>
#include <clew/mhd.h>
#include <clew/propagate.h>
#include <clew/rdkafka.h>
#include <clew/sqlite.h>
#include <clew/trace.h>

#include <errno.h>

/* logging */
extern int64_t shards[3];
extern struct sockaddr *address;
clew_lazy_fn queue_state;
extern const struct clew_logger *pool;

/* propagation */
extern const char *name;
extern size_t name_len;
extern struct clew_scope scope;
extern bool remote;
extern void *metadata, *request;
extern char **envp;
void get(void *carrier, const char *name, struct clew_extract *extract);
void set(void *arg, const struct clew_header *header);

/* adapters */
extern unsigned flags;
extern struct clew_mhd middleware;
extern struct MHD_Connection *connection;
extern struct MHD_Response *response;
extern CURL *easy;
extern CURLM *multi;
extern struct curl_slist *headers;
extern int left;
extern sqlite3 *db;
extern sqlite3_stmt *stmt;
extern int code;
extern PGconn *conn;
extern const char *const *values;
extern rd_kafka_t *rk;
extern void *context;
extern const char *key, *value;
extern size_t key_len, value_len, len;
extern void *payload, *opaque, *message;
#endif
