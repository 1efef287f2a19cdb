/* Load for the benchmarks: librdkafka as producer and consumer, raw sockets for many connections.
 *
 *   load produce BOOTSTRAP TOPIC SIZE COUNT [key=value ...]     as fast as the client can
 *   load single  BOOTSTRAP TOPIC SIZE COUNT [key=value ...]     one message at a time, each acknowledged before the next
 *   load consume BOOTSTRAP TOPIC COUNT [key=value ...]          partitions from their beginning, until COUNT messages
 *   load connections HOST PORT TOPIC SIZE CONNECTIONS SECONDS   one small Produce at a time on each connection
 *
 * key=value are librdkafka's settings. Each prints one line of JSON: messages, bytes, seconds, errors and, where each
 * message is timed, the latency percentiles in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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

static void report(long messages, double bytes, double seconds, long errors, double *times, long count) {
    printf("{\"messages\": %ld, \"bytes\": %.0f, \"seconds\": %.6f, \"errors\": %ld", messages, bytes, seconds, errors);
    if (count > 0) {
        qsort(times, count, sizeof *times, by_value);
        printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f", times[count / 2] * 1e6,
               times[(long)(count * 0.99)] * 1e6, times[(long)(count * 0.999)] * 1e6, times[count - 1] * 1e6);
    }
    printf("}\n");
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *bootstrap, char **settings,
                          void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *)) {
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, text, sizeof text)) die(text);
    for (; *settings; settings++) {
        char *equals = strchr(*settings, '=');
        if (!equals) die("settings are key=value");
        *equals = 0;
        if (rd_kafka_conf_set(conf, *settings, equals + 1, text, sizeof text)) die(text);
        *equals = '=';
    }
    if (delivered) rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk) die(text);
    return rk;
}

static long acknowledged, failed;

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    (void)rk, (void)opaque;
    if (message->err)
        failed++;
    else
        acknowledged++;
}

static int produce(char **a, int one_at_a_time) {
    size_t size = atol(a[2]);
    long count = atol(a[3]);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, a[0], a + 4, delivered);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, a[1], NULL);
    char *payload = malloc(size);
    double *times = one_at_a_time ? malloc(count * sizeof *times) : NULL;
    srand(1);
    for (size_t i = 0; i < size; i++) payload[i] = rand();
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(rk, 0, topic, &metadata, 10000)) die("no metadata");
    rd_kafka_metadata_destroy(metadata);
    double start = now();
    for (long i = 0; i < count; i++) {
        double sent = one_at_a_time ? now() : 0;
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, one_at_a_time ? RD_KAFKA_MSG_F_COPY : 0, payload, size, NULL,
                                0, NULL)) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) die(rd_kafka_err2str(rd_kafka_last_error()));
            rd_kafka_poll(rk, 5);
        }
        if (one_at_a_time) {
            while (acknowledged + failed <= i) rd_kafka_poll(rk, 1000);
            times[i] = now() - sent;
        } else if (i % 1000 == 0)
            rd_kafka_poll(rk, 0);
    }
    while (acknowledged + failed < count) rd_kafka_poll(rk, 100);
    report(acknowledged, (double)acknowledged * size, now() - start, failed, times, one_at_a_time ? count : 0);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
    return failed != 0;
}

static long consumed;
static double consumed_bytes;

static void on_message(rd_kafka_message_t *message, void *opaque) {
    (void)opaque;
    if (message->err) return;
    consumed++;
    consumed_bytes += message->len;
}

static int consume(char **a) {
    long count = atol(a[2]);
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, a[0], a + 3, NULL);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, a[1], NULL);
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(rk, 0, topic, &metadata, 10000)) die("no metadata");
    int partitions = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    double start = now();
    for (int p = 0; p < partitions; p++) rd_kafka_consume_start_queue(topic, p, RD_KAFKA_OFFSET_BEGINNING, queue);
    double progress = now();
    while (consumed < count) {
        long before = consumed;
        rd_kafka_consume_callback_queue(queue, 100, on_message, NULL);
        if (consumed > before)
            progress = now();
        else if (now() - progress > 30)
            die("no messages for 30 s");
    }
    report(consumed, consumed_bytes, now() - start, 0, NULL, 0);
    fflush(stdout);
    _exit(0); /* Stopping a consumer politely takes longer than the measurement. */
}

/* Raw Produce v7 requests: one record batch of one record, acks=1. */

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
    uint8_t *f = frame + 4;
    f = put(f, 0, 2);
    f = put(f, 7, 2);
    f = put(f, 1, 4);
    f = put(f, 4, 2);
    memcpy(f, "load", 4);
    f += 4;
    f = put(f, -1, 2);
    f = put(f, 1, 2);
    f = put(f, 30000, 4);
    f = put(f, 1, 4);
    f = put(f, strlen(topic), 2);
    memcpy(f, topic, strlen(topic));
    f += strlen(topic);
    f = put(f, 1, 4);
    f = put(f, 0, 4);
    f = put(f, b - batch, 4);
    memcpy(f, batch, b - batch);
    f += b - batch;
    put(frame, f - frame - 4, 4);
    return f - frame;
}

static int connections(char **a) {
    const char *topic = a[2];
    size_t size = atol(a[3]);
    int count = atoi(a[4]);
    double limit = atof(a[5]);
    uint8_t frame[size + 512];
    size_t length = produce_frame(frame, topic, size);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(a[1]))};
    if (inet_pton(AF_INET, a[0], &address.sin_addr) != 1) die("an IPv4 address, please");
    int poll = epoll_create1(0);
    struct peer {
        int fd;
        size_t have;
        uint8_t in[512];
        double sent;
    } *peers = calloc(count, sizeof *peers);
    for (int i = 0; i < count; i++) {
        peers[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(peers[i].fd, (struct sockaddr *)&address, sizeof address)) die(strerror(errno));
        setsockopt(peers[i].fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, peers[i].fd, &event);
    }
    long most = 1 << 22, answered = 0, errors = 0;
    double *times = malloc(most * sizeof *times), start = now(), end = start + limit;
    for (int i = 0; i < count; i++) {
        peers[i].sent = now();
        if (write(peers[i].fd, frame, length) != (ssize_t)length) die("short write");
    }
    double t = start;
    while (t < end) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, 1000);
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            ssize_t got = read(peer->fd, peer->in + peer->have, sizeof peer->in - peer->have);
            if (got <= 0) die("connection closed");
            peer->have += got;
            uint32_t want;
            memcpy(&want, peer->in, 4);
            if (peer->have < 4 || peer->have < 4 + ntohl(want)) continue;
            t = now();
            if (answered < most) times[answered] = t - peer->sent;
            answered++;
            /* Length, correlation id, topics, name, partitions, index: then the error code. */
            size_t error = 4 + 4 + 4 + 2 + strlen(topic) + 4 + 4;
            errors += peer->in[error] || peer->in[error + 1];
            peer->have = 0;
            peer->sent = t;
            if (write(peer->fd, frame, length) != (ssize_t)length) die("short write");
        }
        t = now();
    }
    report(answered, (double)answered * size, t - start, errors, times, answered < most ? answered : most);
    return errors != 0;
}

int main(int argc, char **argv) {
    if (argc >= 6 && !strcmp(argv[1], "produce")) return produce(argv + 2, 0);
    if (argc >= 6 && !strcmp(argv[1], "single")) return produce(argv + 2, 1);
    if (argc >= 5 && !strcmp(argv[1], "consume")) return consume(argv + 2);
    if (argc == 8 && !strcmp(argv[1], "connections")) return connections(argv + 2);
    die("usage: load produce|single|consume|connections ...");
}
