#include <iostream>
#include <vector>

int main() {
    std::vector<int> values{1, 2};
    std::cout << "c++ " << values.size() << "\n";
}
