// The bench device on libindi. BLOBs are sent from a thread of their own, for before each one libindi
// waits for the pingReply to the last. Version 1.9.9 waits for ever where it is called in the event
// loop, and elsewhere reads the reply itself: the event loop must not take it away, so it stands
// still until all is sent. Later versions receive the reply in the event loop.
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "indidevapi.h"
#include "indidriver.h"

static const char *DEVICE = "Bench";

struct Numbers
{
    INumberVectorProperty vector;
    std::vector<INumber> members;

    Numbers(const char *name, std::vector<const char *> names, IPerm perm) : members(names.size())
    {
        for (size_t i = 0; i < names.size(); i++)
            IUFillNumber(&members[i], names[i], names[i], "%g", 0, 0, 0, 0);
        IUFillNumberVector(&vector, members.data(), members.size(), DEVICE, name, name, "Bench",
                           perm, 0, IPS_OK);
    }
};

static std::vector<Numbers *> all;
static Numbers *go, *value, *echo, *blobrx, *sendblob;
static IBLOB blob;
static IBLOBVectorProperty blobs;

static void build()
{
    if (!all.empty())
        return;
    all.push_back(go = new Numbers("go", {"v"}, IP_RW));
    all.push_back(value = new Numbers("value", {"v"}, IP_RO));
    all.push_back(echo = new Numbers("echo", {"v"}, IP_RW));
    all.push_back(blobrx = new Numbers("blobrx", {"v"}, IP_RO));
    all.push_back(sendblob = new Numbers("sendblob", {"size", "count"}, IP_RW));
    const char *further = getenv("BENCH_FURTHER");
    for (int i = 0; i < (further ? atoi(further) : 1000); i++)
    {
        char name[16];
        snprintf(name, sizeof name, "n%05d", i);
        all.push_back(new Numbers(name, {"v"}, IP_RW));
    }
    IUFillBLOB(&blob, "b", "b", ".bin");
    IUFillBLOBVector(&blobs, &blob, 1, DEVICE, "blob", "blob", "Bench", IP_RW, 0, IPS_OK);
}

extern "C" void ISGetProperties(const char *)
{
    build();
    for (auto *numbers : all)
        IDDefNumber(&numbers->vector, nullptr);
    IDDefBLOB(&blobs, nullptr);
}

static void send_blobs(size_t size, int count)
{
    std::vector<char> payload(size);
    for (auto &byte : payload)
        byte = rand();
    strcpy(blob.format, ".bin");
    blob.blob = payload.data();
    blob.size = blob.bloblen = size;
    for (int i = 0; i < count; i++)
        IDSetBLOB(&blobs, nullptr);
}

extern "C" void ISNewNumber(const char *, const char *name, double *values, char *names[], int n)
{
    build();
    if (!strcmp(name, "echo"))
    {
        echo->members[0].value = values[0];
        IDSetNumber(&echo->vector, nullptr);
    }
    else if (!strcmp(name, "go"))
    {
        for (int i = 0; i < (int)values[0]; i++)
        {
            value->members[0].value = i;
            IDSetNumber(&value->vector, nullptr);
        }
    }
    else if (!strcmp(name, "sendblob") && n == 2)
    {
        int size = !strcmp(names[0], "size") ? 0 : 1;
        std::thread sender(send_blobs, (size_t)values[size], (int)values[1 - size]);
#if INDI_VERSION_MAJOR < 2
        sender.join();
#else
        sender.detach();
#endif
    }
}

extern "C" void ISNewBLOB(const char *, const char *, int sizes[], int[], char *[], char *[],
                          char *[], int)
{
    blobrx->members[0].value = sizes[0];
    IDSetNumber(&blobrx->vector, nullptr);
}

extern "C" void ISNewSwitch(const char *, const char *, ISState *, char *[], int) {}
extern "C" void ISNewText(const char *, const char *, char *[], char *[], int) {}
extern "C" void ISSnoopDevice(XMLEle *) {}
