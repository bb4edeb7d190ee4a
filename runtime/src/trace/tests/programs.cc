// Stacks of C++: exceptions in flight, and caught.
static volatile int sink;
static void (*hook)();
extern "C" void set_hook_cc(void (*function)()) { hook = function; }

struct Calls {
    ~Calls() { hook(); sink = sink + 1; }
};

[[gnu::noinline]] static int throws(int depth) {
    Calls calls;
    if (depth == 0) throw 5;
    return throws(depth - 1) + 1;
}

extern "C" [[gnu::noinline]] int exceptions() {
    try {
        return throws(4);
    } catch (int number) {
        hook();
        return number;
    }
}
