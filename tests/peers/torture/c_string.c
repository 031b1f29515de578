/* A client that takes each read for a string of whole words. */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int address(struct sockaddr_in *to, const char *port)
{
    memset(to, 0, sizeof *to);
    to->sin_family = AF_INET;
    to->sin_port = htons((unsigned short)atoi(port));
    to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int serve(const char *port)
{
    static const char reply[] = "alpha beta gamma delta ";
    struct sockaddr_in here;
    int listener = address(&here, port), yes = 1;

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 8))
        return 1;
    for (;;) {
        char byte;
        int client = accept(listener, NULL, NULL);

        while (read(client, &byte, 1) == 1)
            if (byte == '\n' && write(client, reply, sizeof reply - 1) < 0)
                break;
        close(client);
    }
}

static int ask(const char *port, int right)
{
    struct sockaddr_in there;
    char text[256], *word, *rest;
    size_t kept = 0;
    ssize_t count;
    int words = 0, server = address(&there, port);

    if (connect(server, (struct sockaddr *)&there, sizeof there) || write(server, "words\n", 6) != 6)
        return 1;
    while (words < 4 && (count = read(server, text + kept, sizeof text - 1 - kept)) > 0) {
        kept += (size_t)count;
        text[kept] = 0;
        word = text;
        while ((rest = strchr(word, ' ')) != NULL) {
            *rest = 0;
            printf("%s\n", word);
            words++;
            word = rest + 1;
        }
        if (!right && *word) {
            printf("%s\n", word);
            words++;
            word += strlen(word);
        }
        kept = strlen(word);
        memmove(text, word, kept);
    }
    return 0;
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    return strcmp(words[1], "server") ? ask(words[3], !strcmp(words[2], "right")) : serve(words[3]);
}
