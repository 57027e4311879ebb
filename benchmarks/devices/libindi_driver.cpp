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

    Numbers(const char *name, std::vector<std::string> names, IPerm perm) : members(names.size())
    {
        for (size_t i = 0; i < names.size(); i++)
            IUFillNumber(&members[i], names[i].c_str(), names[i].c_str(), "%g", 0, 0, 0, 0);
        IUFillNumberVector(&vector, members.data(), members.size(), DEVICE, name, name, "Bench",
                           perm, 0, IPS_OK);
    }
};

static std::vector<Numbers *> all;
static Numbers *go, *value, *echo, *blobrx, *sendblob;
static IBLOB blob;
static IBLOBVectorProperty blobs;

static int setting(const char *name, int usual)
{
    const char *text = getenv(name);
    return text ? atoi(text) : usual;
}

static void build()
{
    if (!all.empty())
        return;
    all.push_back(go = new Numbers("go", {"v"}, IP_RW));
    all.push_back(value = new Numbers("value", {"v"}, IP_RO));
    std::vector<std::string> echoed = {"v"};
    for (int i = 1; i < setting("BENCH_MEMBERS", 1); i++)
        echoed.push_back("v" + std::to_string(i));
    all.push_back(echo = new Numbers("echo", echoed, IP_RW));
    all.push_back(blobrx = new Numbers("blobrx", {"v"}, IP_RO));
    all.push_back(sendblob = new Numbers("sendblob", {"size", "count"}, IP_RW));
    for (int i = 0; i < setting("BENCH_FURTHER", 1000); i++)
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
    static std::vector<char> payload;
    while (payload.size() < size)
        payload.push_back(rand());
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
        for (int i = 0; i < n; i++)
            if (INumber *member = IUFindNumber(&echo->vector, names[i]))
                member->value = values[i];
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
