/* Load for the benchmarks: librdkafka as producer and consumer, raw sockets for many connections.
 *
 *   load produce BOOTSTRAP TOPIC SIZE COUNT RATE [key=value ...]    COUNT messages, RATE a second; 0: as fast as it goes
 *   load single  BOOTSTRAP TOPIC SIZE COUNT [key=value ...]         one message at a time, each acknowledged before the next
 *   load consume BOOTSTRAP TOPIC COUNT [key=value ...]              partitions from their beginning, until COUNT messages
 *   load head    BOOTSTRAP TOPIC SIZE COUNT RATE [key=value ...]    a producer, and a consumer at the end of the log
 *   load connections HOST PORT TOPIC SIZE CONNECTIONS SECONDS       one small Produce at a time on each connection
 *   load waiting     HOST PORT TOPIC CONNECTIONS SECONDS            on each a consumer's Fetch that waits for 500 ms
 *   load commits     HOST PORT TOPIC GROUPS PARTITIONS SECONDS      a connection for each partition in each group, on each
 *                                                                   one OffsetCommit at a time
 *   load touch BYTES                                                writes so much memory once
 *
 * key=value are librdkafka's settings. Each prints one line of JSON: messages, bytes, seconds, errors, requests, and
 * latency percentiles in microseconds: from produce() to the acknowledgement (some of the messages), from produce() to
 * the consumer (head), from request to answer (raw sockets).
 *
 *   load -p PORT KIND ...    asks the broker there for ApiVersions every 10 ms meanwhile: "turns", how long the smallest
 *                            request waits for its turn behind this load, in microseconds
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* A request that needs nothing but its turn. */

#define TURNS (1 << 20)

static const char *turns_port;
static double *turns;
static volatile long turned;

static void *take_turns(void *nothing) {
    static const uint8_t api_versions[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 0, 0, 0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(turns_port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) die(strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    while (turned < TURNS) {
        uint8_t in[4096];
        uint32_t length;
        double began = now();
        if (write(fd, api_versions, sizeof api_versions) != sizeof api_versions) die("short write");
        if (recv(fd, &length, 4, MSG_WAITALL) != 4 || ntohl(length) > sizeof in) die("no answer to ApiVersions");
        if (recv(fd, in, ntohl(length), MSG_WAITALL) != ntohl(length)) die("half an answer to ApiVersions");
        turns[turned] = now() - began;
        turned++;
        usleep(10000);
    }
    return nothing;
}

static void begin_turns(const char *port) {
    pthread_t thread;
    turns_port = port;
    turns = malloc(TURNS * sizeof *turns);
    if (pthread_create(&thread, NULL, take_turns, NULL)) die("no thread");
}

static void percentiles(const char *before, double *times, long count) {
    if (!count) return;
    qsort(times, count, sizeof *times, by_value);
    printf(", \"%sp50_us\": %.1f, \"%sp99_us\": %.1f, \"%sp999_us\": %.1f, \"%smax_us\": %.1f", before,
           times[count / 2] * 1e6, before, times[(long)(count * 0.99)] * 1e6, before,
           times[(long)(count * 0.999)] * 1e6, before, times[count - 1] * 1e6);
}

static void report(long messages, double bytes, double seconds, long errors, long requests, double *times, long count) {
    printf("{\"messages\": %ld, \"bytes\": %.0f, \"seconds\": %.6f, \"errors\": %ld, \"requests\": %ld", messages, bytes,
           seconds, errors, requests);
    percentiles("", times, count);
    if (turned) {
        long had = turned; /* The thread goes on: what it adds meanwhile is left out. */
        double *some = malloc(had * sizeof *some);
        percentiles("turns_", memcpy(some, turns, had * sizeof *some), had);
    }
    printf("}\n");
    fflush(stdout);
}

/* The number of requests comes with librdkafka's statistics; its total stands last. */

static volatile long requests, reports;

static int statistics(rd_kafka_t *rk, char *json, size_t size, void *opaque) {
    (void)rk, (void)size, (void)opaque;
    for (char *at = json; (at = strstr(at, "\"tx\":")); at += 5) requests = atol(at + 5);
    reports++;
    return 0;
}

static long all_requests(rd_kafka_t *rk) {
    double limit = now() + 1;
    for (long before = reports; reports == before && now() < limit;) rd_kafka_poll(rk, 50);
    return requests;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char text[512];
    if (rd_kafka_conf_set(conf, key, value, text, sizeof text)) die(text);
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *bootstrap, char **settings,
                          void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *)) {
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "statistics.interval.ms", "200");
    for (; *settings; settings++) {
        char *equals = strchr(*settings, '=');
        if (!equals) die("settings are key=value");
        *equals = 0;
        set(conf, *settings, equals + 1);
        *equals = '=';
    }
    rd_kafka_conf_set_stats_cb(conf, statistics);
    if (delivered) rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk) die(text);
    return rk;
}

static int partitions_of(rd_kafka_t *rk, rd_kafka_topic_t *topic) {
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(rk, 0, topic, &metadata, 30000)) die("no metadata");
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    return count;
}

/* Text that compresses as text does, to about half, from which each message takes another piece. */

#define POOL (1 << 22)

static char *pool(size_t size) {
    char *text = malloc(POOL + size);
    srand(1);
    for (size_t i = 0; i < POOL + size; i++) text[i] = "0123456789abcdef"[rand() & 15];
    return text;
}

/* One message in SAMPLE is timed: its opaque is its number. */

#define SAMPLE 16

static volatile long acknowledged, failed, timed;
static double *sent, *times;

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    (void)rk, (void)opaque;
    if (message->err) {
        failed++;
        return;
    }
    acknowledged++;
    if (message->_private) times[timed++] = now() - sent[(long)message->_private / SAMPLE];
}

/* Sends without a pause, or so many messages a second. */
static void send_all(rd_kafka_t *rk, rd_kafka_topic_t *topic, size_t size, long count, double rate, int stamped) {
    char *text = pool(size), *stamp = malloc(size);
    double start = now();
    for (long i = 0; i < count; i++) {
        if (rate > 0 && i % 10 == 0)
            while (now() < start + i / rate) rd_kafka_poll(rk, 1);
        char *payload = text + i * 4099 % POOL;
        if (stamped) {
            double t = now();
            payload = memcpy(stamp, payload, size);
            memcpy(payload, &t, sizeof t);
        }
        void *number = !stamped && i && i % SAMPLE == 0 ? (void *)i : NULL;
        if (number) sent[i / SAMPLE] = now();
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, stamped ? RD_KAFKA_MSG_F_COPY : 0, payload, size, NULL, 0,
                                number)) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) die(rd_kafka_err2str(rd_kafka_last_error()));
            rd_kafka_poll(rk, 5);
        }
        if (i % 1000 == 0) rd_kafka_poll(rk, 0);
    }
    while (acknowledged + failed < count) rd_kafka_poll(rk, 10);
}

static int produce(char **a) {
    size_t size = atol(a[2]);
    long count = atol(a[3]);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, a[0], a + 5, delivered);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, a[1], NULL);
    sent = malloc((count / SAMPLE + 1) * sizeof *sent);
    times = malloc((count / SAMPLE + 1) * sizeof *times);
    partitions_of(rk, topic);
    double start = now();
    send_all(rk, topic, size, count, atof(a[4]), 0);
    double seconds = now() - start;
    report(acknowledged, (double)acknowledged * size, seconds, failed, all_requests(rk), times, timed);
    _exit(failed != 0); /* Saying goodbye politely takes longer than the measurement. */
}

static int single(char **a) {
    size_t size = atol(a[2]);
    long count = atol(a[3]);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, a[0], a + 4, delivered);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, a[1], NULL);
    char *text = pool(size);
    times = malloc(count * sizeof *times);
    partitions_of(rk, topic);
    double start = now();
    for (long i = 0; i < count; i++) {
        double t = now();
        if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, text, size, NULL, 0, NULL))
            die(rd_kafka_err2str(rd_kafka_last_error()));
        while (acknowledged + failed <= i) rd_kafka_poll(rk, 1000);
        times[i] = now() - t;
    }
    report(acknowledged, (double)acknowledged * size, now() - start, failed, count, times, count);
    _exit(failed != 0);
}

static long consumed, wanted;
static double consumed_bytes, last_message;

static void on_message(rd_kafka_message_t *message, void *stamped) {
    if (message->err) return;
    if (stamped && consumed % SAMPLE == 0) {
        double t;
        memcpy(&t, message->payload, sizeof t);
        times[timed++] = now() - t;
    }
    consumed++;
    consumed_bytes += message->len;
}

static void receive_all(rd_kafka_t *rk, rd_kafka_topic_t *topic, void *stamped) {
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    int partitions = partitions_of(rk, topic);
    for (int p = 0; p < partitions; p++) rd_kafka_consume_start_queue(topic, p, RD_KAFKA_OFFSET_BEGINNING, queue);
    last_message = now();
    while (consumed < wanted) {
        long before = consumed;
        rd_kafka_consume_callback_queue(queue, 100, on_message, stamped);
        if (consumed > before)
            last_message = now();
        else if (now() - last_message > 30)
            die("no messages for 30 s");
        rd_kafka_poll(rk, 0);
    }
}

static int consume(char **a) {
    wanted = atol(a[2]);
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, a[0], a + 3, NULL);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, a[1], NULL);
    partitions_of(rk, topic);
    double start = now();
    receive_all(rk, topic, NULL);
    double seconds = now() - start;
    report(consumed, consumed_bytes, seconds, 0, all_requests(rk), NULL, 0);
    _exit(0);
}

struct reader {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
};

static void *read_along(void *argument) {
    struct reader *reader = argument;
    receive_all(reader->rk, reader->topic, reader);
    return NULL;
}

static int head(char **a) {
    size_t size = atol(a[2]);
    wanted = atol(a[3]);
    if (size < sizeof(double)) die("a message must hold a time");
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, a[0], a + 5, delivered);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, a[1], NULL);
    char *none = NULL;
    struct reader reader = {client(RD_KAFKA_CONSUMER, a[0], &none, NULL), NULL};
    reader.topic = rd_kafka_topic_new(reader.rk, a[1], NULL);
    times = malloc((wanted / SAMPLE + 1) * sizeof *times);
    partitions_of(rk, topic);
    pthread_t thread;
    if (pthread_create(&thread, NULL, read_along, &reader)) die("no thread");
    double start = now();
    send_all(rk, topic, size, wanted, atof(a[4]), 1);
    pthread_join(thread, NULL);
    report(consumed, consumed_bytes, now() - start, failed, all_requests(rk), times, timed);
    _exit(failed != 0);
}

static int touch(char **a) {
    size_t size = atol(a[0]);
    volatile char *memory = malloc(size);
    if (!memory) die("so much memory is not there");
    double start = now();
    for (size_t i = 0; i < size; i += 4096) memory[i] = 1;
    report(0, size, now() - start, 0, 0, NULL, 0);
    return 0;
}

/* Raw requests. */

static uint32_t crc32c(const uint8_t *data, size_t size) {
    uint32_t crc = ~0u;
    while (size--) {
        crc ^= *data++;
        for (int k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
    }
    return ~crc;
}

static uint8_t *put(uint8_t *at, uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; i--) *at++ = value >> 8 * i;
    return at;
}

static uint8_t *put_varint(uint8_t *at, int64_t value) {
    uint64_t zigzag = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    for (; zigzag >= 128; zigzag >>= 7) *at++ = zigzag | 128;
    *at++ = zigzag;
    return at;
}

static uint8_t *put_string(uint8_t *at, const char *text) {
    at = put(at, strlen(text), 2);
    memcpy(at, text, strlen(text));
    return at + strlen(text);
}

static uint8_t *put_header(uint8_t *frame, int api, int version) {
    uint8_t *f = put(put(put(frame + 4, api, 2), version, 2), 1, 4);
    return put_string(f, "load");
}

static size_t framed(uint8_t *frame, uint8_t *end) {
    put(frame, end - frame - 4, 4);
    return end - frame;
}

/* Produce v7: one record batch of one record, acks=1. */
static size_t produce_frame(uint8_t *frame, const char *topic, size_t size) {
    uint8_t record[size + 32], *r = record;
    *r++ = 0;
    r = put_varint(r, 0);
    r = put_varint(r, 0);
    r = put_varint(r, -1);
    r = put_varint(r, size);
    memset(r, 'x', size);
    r += size;
    *r++ = 0;
    uint8_t batch[size + 128], *b = batch;
    uint8_t length[8], *length_end = put_varint(length, r - record);
    size_t whole = 61 + (length_end - length) + (r - record);
    b = put(b, 0, 8);
    b = put(b, whole - 12, 4);
    b = put(b, -1, 4);
    *b++ = 2;
    uint8_t *crc = b;
    b = put(b, 0, 4);
    uint8_t *checked = b;
    b = put(b, 0, 2);
    b = put(b, 0, 4);
    uint64_t ms = (uint64_t)time(NULL) * 1000;
    b = put(b, ms, 8);
    b = put(b, ms, 8);
    b = put(b, -1, 8);
    b = put(b, -1, 2);
    b = put(b, -1, 4);
    b = put(b, 1, 4);
    memcpy(b, length, length_end - length);
    b += length_end - length;
    memcpy(b, record, r - record);
    b += r - record;
    put(crc, crc32c(checked, b - checked), 4);
    uint8_t *f = put_header(frame, 0, 7);
    f = put(f, -1, 2);
    f = put(f, 1, 2);
    f = put(f, 30000, 4);
    f = put(f, 1, 4);
    f = put_string(f, topic);
    f = put(f, 1, 4);
    f = put(f, 0, 4);
    f = put(f, b - batch, 4);
    memcpy(f, batch, b - batch);
    return framed(frame, f + (b - batch));
}

/* Fetch v11 in a session: the first names the partition, from its beginning; those that follow name nothing. */
static size_t fetch_frame(uint8_t *frame, const char *topic, uint32_t session, uint32_t epoch) {
    uint8_t *f = put_header(frame, 1, 11);
    f = put(f, -1, 4);
    f = put(f, 500, 4);
    f = put(f, 1, 4);
    f = put(f, 50 << 20, 4);
    f = put(f, 0, 1);
    f = put(f, session, 4);
    f = put(f, epoch, 4);
    f = put(f, session == 0, 4);
    if (session == 0) {
        f = put_string(f, topic);
        f = put(f, 1, 4);
        f = put(f, 0, 4);
        f = put(f, -1, 4);
        f = put(f, 0, 8);
        f = put(f, -1, 8);
        f = put(f, 1 << 20, 4);
    }
    f = put(f, 0, 4);
    return framed(frame, put_string(f, ""));
}

/* OffsetCommit v2 of nobody's member. */
static size_t commit_frame(uint8_t *frame, const char *topic, int group, int partition, uint64_t offset) {
    char name[32];
    snprintf(name, sizeof name, "group-%d", group);
    uint8_t *f = put_header(frame, 8, 2);
    f = put_string(f, name);
    f = put(f, -1, 4);
    f = put_string(f, "");
    f = put(f, -1, 8);
    f = put(f, 1, 4);
    f = put_string(f, topic);
    f = put(f, 1, 4);
    f = put(f, partition, 4);
    f = put(f, offset, 8);
    return framed(frame, put_string(f, ""));
}

struct peer {
    int fd, number;
    size_t have, length, error_at;
    uint32_t epoch;
    uint64_t answers;
    uint8_t in[1024], *frame;
    double sent;
};

/* Connects `count` peers; each has one request under way at a time, and `next` makes the one after an answer. */
static int drive(const char *host, const char *port, int count, double limit, size_t payload,
                 void (*next)(struct peer *, const char *topic), const char *topic) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("an IPv4 address, please");
    int poll = epoll_create1(0);
    struct peer *peers = calloc(count, sizeof *peers);
    for (int i = 0; i < count; i++) {
        peers[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        peers[i].number = i;
        if (connect(peers[i].fd, (struct sockaddr *)&address, sizeof address)) die(strerror(errno));
        setsockopt(peers[i].fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, peers[i].fd, &event);
    }
    long most = 1 << 22, answered = 0, errors = 0;
    times = malloc(most * sizeof *times);
    double start = now(), end = start + limit, t = start;
    for (int i = 0; i < count; i++) {
        next(&peers[i], topic);
        peers[i].sent = now();
        if (write(peers[i].fd, peers[i].frame, peers[i].length) != (ssize_t)peers[i].length) die("short write");
    }
    int warm = 0; /* Peers that have had a good answer: the clock starts when all have. */
    while (t < end || warm < count) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            ssize_t got = read(peer->fd, peer->in + peer->have, sizeof peer->in - peer->have);
            if (got <= 0) die("connection closed, or an answer too long");
            peer->have += got;
            uint32_t want;
            memcpy(&want, peer->in, 4);
            if (peer->have < 4 || peer->have < 4 + ntohl(want)) continue;
            t = now();
            int error = peer->in[peer->error_at] || peer->in[peer->error_at + 1];
            if (answered < most) times[answered] = t - peer->sent;
            answered++;
            errors += error;
            if (!error && !peer->answers++ && ++warm == count) {
                fprintf(stderr, "warm\n");
                answered = errors = turned = 0;
                start = t;
                end = start + limit;
            }
            next(peer, topic);
            peer->have = 0;
            peer->sent = t;
            if (write(peer->fd, peer->frame, peer->length) != (ssize_t)peer->length) die("short write");
        }
        t = now();
        if (warm < count && t > start + 60) die("some connections had no answer for 60 s");
    }
    report(answered, (double)answered * payload, t - start, errors, answered, times, answered < most ? answered : most);
    return errors != 0;
}

/* Length, correlation id, topics, name, partitions, index, then the error code: of Produce as of OffsetCommit. */
#define ERROR_AT(topic) (4 + 4 + 4 + 2 + strlen(topic) + 4 + 4)

static size_t produce_size;

static void next_produce(struct peer *peer, const char *topic) {
    static uint8_t *frame;
    static size_t length;
    if (!frame) length = produce_frame(frame = malloc(produce_size + 512), topic, produce_size);
    peer->frame = frame;
    peer->length = length;
    peer->error_at = ERROR_AT(topic);
}

static int connections(char **a) {
    produce_size = atol(a[3]);
    return drive(a[0], a[1], atoi(a[4]), atof(a[5]), produce_size, next_produce, a[2]);
}

static void next_fetch(struct peer *peer, const char *topic) {
    uint32_t session = 0;
    if (!peer->frame) peer->frame = malloc(512);
    if (peer->answers) memcpy(&session, peer->in + 14, 4); /* Behind length, correlation id, throttle time, error code. */
    peer->length = fetch_frame(peer->frame, topic, ntohl(session), session ? peer->epoch : 0);
    peer->epoch = session ? peer->epoch + 1 : 1;
    peer->error_at = 12;
}

static int waiting(char **a) { return drive(a[0], a[1], atoi(a[3]), atof(a[4]), 0, next_fetch, a[2]); }

static int groups;

static void next_commit(struct peer *peer, const char *topic) {
    if (!peer->frame) peer->frame = malloc(512);
    peer->length = commit_frame(peer->frame, topic, peer->number % groups, peer->number / groups, peer->answers);
    peer->error_at = ERROR_AT(topic);
}

static int commits(char **a) {
    groups = atoi(a[3]);
    return drive(a[0], a[1], groups * atoi(a[4]), atof(a[5]), 0, next_commit, a[2]);
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    static const struct {
        const char *name;
        int least;
        int (*run)(char **);
    } loads[] = {{"produce", 5, produce}, {"single", 4, single},   {"consume", 3, consume}, {"head", 5, head},
                 {"waiting", 5, waiting}, {"commits", 6, commits}, {"touch", 1, touch},     {"connections", 6, connections}};
    if (argc > 2 && !strcmp(argv[1], "-p")) {
        begin_turns(argv[2]);
        argv += 2, argc -= 2;
    }
    for (size_t i = 0; argc > 1 && i < sizeof loads / sizeof *loads; i++)
        if (!strcmp(argv[1], loads[i].name) && argc >= 2 + loads[i].least) return loads[i].run(argv + 2);
    die("usage: see the top of load.c");
}
